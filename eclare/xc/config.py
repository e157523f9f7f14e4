"""How titles are answered with labels: the model's hyper-parameters and what weighs co-clicks beside its score."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from eclare.model.config import PRESETS, ECLAREConfig

NUMBERS = ("co_click_weight", "held_back_share")


@dataclass(frozen=True)
class RecommenderConfig:
    """Options of a Recommender; a file of options is flat, with those of its model beside its own.

    With shortlister "clusters" scores are probabilities, to which co-click scores cannot be added, so there both
    NUMBERS must be 0. Raises ValueError, naming the option, for a value that cannot work.
    """

    model: ECLAREConfig = field(default_factory=ECLAREConfig)
    co_click_weight: float = 0.5  # of co-click scores beside the model's; 0: the model alone finds the candidates
    held_back_share: float = 0.5  # of the points, on which the ranker learns to weigh the features; 0: no ranker
    text_encoder: str = ""  # folder or package of a sentence encoder (model/sentence_encoder.py); "": none
    text_encoder_epochs: int = 0  # of fine-tuning it by the clicks (model/fine_tuning.py); 0: it stays as it is

    def __post_init__(self) -> None:
        if not isinstance(self.text_encoder, str):
            raise ValueError(f"text_encoder must be the name of a folder or a package, got {self.text_encoder!r}")
        if self.text_encoder and self.model.shortlister == "clusters":
            raise ValueError(
                f"text_encoder must be empty with shortlister clusters, which has no ranker to learn what it is worth, "
                f"got {self.text_encoder!r}"
            )
        if self.text_encoder and not self.held_back_share:
            raise ValueError(
                f"held_back_share must not be 0 with text_encoder {self.text_encoder!r}: a ranker learns its worth"
            )
        if type(self.text_encoder_epochs) is not int or self.text_encoder_epochs < 0:
            raise ValueError(f"text_encoder_epochs must be an int of 0 or more, got {self.text_encoder_epochs!r}")
        if self.text_encoder_epochs and not self.text_encoder:
            raise ValueError(
                f"text_encoder must name the encoder to fine-tune with text_encoder_epochs {self.text_encoder_epochs}, "
                "got none"
            )
        for name in NUMBERS:
            value = getattr(self, name)
            if type(value) not in (float, int):
                raise ValueError(f"{name} must be float, got {value!r}")
            if self.model.shortlister == "clusters" and value:
                raise ValueError(
                    f"{name} must be 0 with shortlister clusters, got {value}: "
                    "co-click scores are added to inner products, not to probabilities"
                )
        if self.co_click_weight < 0:
            raise ValueError(f"co_click_weight must not be negative, got {self.co_click_weight}")
        if not 0 <= self.held_back_share < 1:
            raise ValueError(f"held_back_share must lie in [0, 1), got {self.held_back_share}")

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> "RecommenderConfig":
        """From flat options, defaults for those left out: with shortlister "clusters" both NUMBERS are 0.

        Raises ValueError for an option that does not exist.
        """
        own = _own_options()
        known = {option.name for option in fields(ECLAREConfig)} | set(own)
        unknown = sorted(set(options) - known)
        if unknown:
            raise ValueError(f"no such option: {', '.join(unknown)}; there are {', '.join(sorted(known))}")
        model = ECLAREConfig(**{name: value for name, value in options.items() if name not in own})
        defaults = dict.fromkeys(NUMBERS, 0.0) if model.shortlister == "clusters" else {}
        return cls(model, **defaults | {name: options[name] for name in own if name in options})

    @classmethod
    def preset(cls, name: str) -> "RecommenderConfig":
        """One of the model's PRESETS, with our own options in ours alone; raises ValueError for another name."""
        if name not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
        return cls.of(PRESETS[name] | ({} if name == "default" else dict.fromkeys(NUMBERS, 0.0)))

    @property
    def options(self) -> dict[str, Any]:
        """Every option by its name, flat."""
        return asdict(self.model) | {name: getattr(self, name) for name in _own_options()}

    def save(self, file: Path) -> None:
        """Write every option as JSON."""
        file.write_text(json.dumps(self.options, indent=1) + "\n")

    @classmethod
    def load(cls, file: Path) -> "RecommenderConfig":
        """Read what `save` or a person wrote; raises ValueError as `of` does, naming the file."""
        try:
            return cls.of(json.loads(file.read_text()))
        except ValueError as error:
            raise ValueError(f"{file}: {error}") from error


def _own_options() -> list[str]:
    return [option.name for option in fields(RecommenderConfig) if option.name != "model"]

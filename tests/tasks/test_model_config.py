import json
from dataclasses import replace

import numpy as np
import pytest

from eclare.model.config import ECLAREConfig
from tasks.errors import BadInput
from tasks.model_config import NIGHT, load_cooccurrence, load_interactions, read_config


def with_file(settings, tmp_path, options):
    file = tmp_path / "eclare.json"
    file.write_text(options if isinstance(options, str) else json.dumps(options))
    return settings.model_copy(update={"eclare_config": file})


def test_a_file_names_only_what_it_changes(settings, tmp_path):
    assert read_config(settings) == NIGHT
    assert not NIGHT.word_pairs and ECLAREConfig().word_pairs
    assert read_config(with_file(settings, tmp_path, {})) == NIGHT
    assert read_config(with_file(settings, tmp_path, {"batch_size": 512})) == replace(NIGHT, batch_size=512)
    assert read_config(with_file(settings, tmp_path, {"word_pairs": True})).word_pairs
    assert read_config(with_file(settings, tmp_path, {"shortlister": "clusters"})).shortlister == "clusters"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"held_back_share": 0.5}, "no such option: held_back_share"),
        ({"co_click_weight": 2.0, "held_back_share": 0.1}, "no such option: co_click_weight, held_back_share"),
        ({"batchsize": 512}, "no such option: batchsize"),
        ({"epochs": 0}, "epochs must be positive, got 0"),
        ("{", "must name a JSON file"),
    ],
)
def test_options_that_cannot_work_at_night_are_refused_by_name(settings, tmp_path, options, message):
    with pytest.raises(BadInput, match=message):
        read_config(with_file(settings, tmp_path, options))


def test_a_file_that_is_not_there_is_refused(settings, tmp_path):
    with pytest.raises(BadInput, match=r"nothing\.json"):
        read_config(settings.model_copy(update={"eclare_config": tmp_path / "nothing.json"}))


def test_cooccurrence_of_older_code_is_refused_with_the_step_to_run(tmp_path):
    np.savez(tmp_path / "cooccurrence.npz", products=3)
    with pytest.raises(BadInput, match=r"must hold min_support .*run build_interactions for this night again"):
        load_cooccurrence(tmp_path)


def test_interactions_of_older_code_are_refused_with_the_step_to_run(tmp_path):
    np.savez(tmp_path / "interactions.npz", data=[], indices=[], indptr=[0], point_ids=["a"], label_ids=["a"])
    with pytest.raises(BadInput, match=r"must hold point_ids_bytes .*run build_interactions for this night again"):
        load_interactions(tmp_path)

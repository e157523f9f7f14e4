"""Two ways of a person through the page: the mouse, or keys alone; each counts what its walks take."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select

from tests.local.browser import Browser

# The keystroke-level model (Card, Moran, Newell, 1980): seconds of a key, of pointing and clicking, of a thought.
KEY_S, CLICK_S, THOUGHT_S = 0.28, 1.1 + 0.2, 1.35
MOST_TABS = 60
NAME = "const e = document.activeElement; return (e.labels?.[0] ?? e).innerText.trim()"  # of what has the focus
FIRST_BUTTON = "return document.activeElement.form.querySelector('button').innerText"


@dataclass
class Walk:
    """What a walk took: keys, clicks, steps (each begins with a thought), and seconds that the page took to answer."""

    keys: int = 0
    clicks: int = 0
    steps: int = 0
    answers_s: float = 0

    @property
    def seconds(self) -> float:
        return self.keys * KEY_S + self.clicks * CLICK_S + self.steps * THOUGHT_S + self.answers_s


class Hand:
    """What both do; `walks` has what was counted, by the name of the walk."""

    def __init__(self, screen: Browser) -> None:
        self.screen, self.walks, self._now = screen, dict[str, Walk](), Walk()

    @contextmanager
    def walk(self, name: str) -> Iterator[None]:
        self._now = self.walks[name] = Walk()
        yield

    def counted(self) -> dict[str, dict[str, float]]:
        """Every walk in figures."""
        return {name: asdict(walk) | {"seconds": round(walk.seconds, 1)} for name, walk in self.walks.items()}

    def _leave(self, act: Callable[[], None], shows: str) -> None:
        """Do what leads to another page, and wait until that shows a text."""
        self._now.steps += 1
        began, page = time.monotonic(), self.screen.find("html")
        act()
        self.screen.wait(lambda: self.screen.find("html") != page and shows in self.screen.find("main").text)
        self._now.answers_s += time.monotonic() - began


class MouseHand(Hand):
    """Points at what can be seen, and clicks; types with the keys."""

    def open(self, text: str, shows: str) -> None:
        self._leave(lambda: self._click(self._named(text)), shows)

    def unfold(self, text: str) -> None:
        self._now.steps += 1
        self._click(self._named(text))

    def choose(self, label: str, option: str) -> None:
        self._now.steps += 1
        field = self._labelled(label)
        self._click(field)
        chosen = next(each for each in Select(field).options if each.text.startswith(option))
        self._click(chosen)

    def type(self, label: str, text: str) -> None:
        self._now.steps += 1
        field = self._labelled(label)
        if field != self.screen.driver.switch_to.active_element:
            self._click(field)
        field.send_keys(text)
        self._now.keys += len(text)

    def send(self, button: str, shows: str) -> None:
        self.open(button, shows)

    def _click(self, element: WebElement) -> None:
        element.click()
        self._now.clicks += 1

    def _named(self, text: str) -> WebElement:
        return self.screen.wait(lambda: self.screen.all("a, button, summary", text)[0])

    def _labelled(self, label: str) -> WebElement:
        named = self.screen.all("label", label)[0]
        return self.screen.find(f"#{named.get_attribute('for')}")


class KeyHand(Hand):
    """Goes by Tab to what it looks for, and presses Enter."""

    def open(self, text: str, shows: str) -> None:
        self._to(text)
        self._leave(lambda: self._press(Keys.ENTER), shows)

    def unfold(self, text: str) -> None:
        self._now.steps += 1
        self._to(text)
        self._press(Keys.ENTER)

    def choose(self, label: str, option: str) -> None:
        self._now.steps += 1
        self._to(label)
        field = Select(self.screen.driver.switch_to.active_element)
        for _ in field.options:
            if field.first_selected_option.text.startswith(option):
                return
            self._press(Keys.DOWN)
        raise AssertionError(f"{label} has no option {option}")

    def type(self, label: str, text: str) -> None:
        self._now.steps += 1
        self._to(label)
        for letter in text:
            self._press(letter)

    def send(self, button: str, shows: str) -> None:
        """Enter presses the first button of the form whose field was typed in, which must be the one that is meant."""
        assert self.screen.driver.execute_script(FIRST_BUTTON).startswith(button)
        self._leave(lambda: self._press(Keys.ENTER), shows)

    def _to(self, text: str) -> None:
        for _ in range(MOST_TABS):
            if self.screen.driver.execute_script(NAME).startswith(text):
                return
            self._press(Keys.TAB)
        raise AssertionError(f"{MOST_TABS} presses of Tab must lead to {text!r}, got none")

    def _press(self, key: str) -> None:
        self.screen.driver.switch_to.active_element.send_keys(key)
        self._now.keys += 1

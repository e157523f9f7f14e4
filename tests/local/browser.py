"""A headless Chromium that a test drives as an operator would."""

import os
import shutil
from base64 import b64decode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE_S = 60
SIZE = (1280, 900)
SEEN = """const seen = each => each.checkVisibility({visibilityProperty: true, opacityProperty: true})
    && [...each.getClientRects()].some(box => box.width > 0 && box.height > 0);
return [...document.querySelectorAll(arguments[0])].filter(
    each => seen(each) && each.innerText.trim().startsWith(arguments[1]))"""


class Browser:
    """What a person does: look for a text, click, type, wait."""

    def __init__(self, driver: webdriver.Chrome, url: str) -> None:
        self.driver, self.url = driver, url
        self.user = ""

    def open(self, path: str) -> None:
        self.driver.get(f"{self.url}{path}")

    def log_in(self, user: str, password: str) -> None:
        """As this user from here on, by the form; who is in already stays."""
        if user == self.user:
            return
        self.driver.delete_all_cookies()
        self.open("/auth/login/")
        self.type("input[name=username]", user)
        self.type("input[name=password]", password)
        self.find("button[type=submit]").click()
        self.wait(lambda: "/auth/login" not in self.driver.current_url)
        self.user = user

    def be_let_in(self, user: str, token: str) -> None:
        """The same by the cookie that the form gives: Airflow's form and the page after it are seconds of a core."""
        if user == self.user:
            return
        self.open("/api/v2/version")  # any answer of this site
        self.driver.delete_all_cookies()
        self.driver.add_cookie({"name": "_token", "value": token, "path": "/"})
        self.user = user

    def find(self, selector: str) -> WebElement:
        return self.wait(lambda: next(iter(self.all(selector)), None))

    def all(self, selector: str, text: str = "") -> list[WebElement]:
        """What can be seen and begins with a text; asked in one script, since a question an element costs more."""
        return self.driver.execute_script(SEEN, selector, text)

    def type(self, selector: str, text: str) -> None:
        self.find(selector).send_keys(text)

    def click_text(self, text: str, within: str = "button, label, a") -> None:
        self.wait(lambda: next(iter(self.all(within, text)), None)).click()

    def wait(self, condition: Callable[[], Any]) -> Any:
        return WebDriverWait(self.driver, PATIENCE_S, ignored_exceptions=(Exception,)).until(lambda _: condition())

    def look(self, path: str, width: int, theme: str) -> bytes:
        """A picture of a whole page as wide as a screen, by day or by night."""
        self.be_as(width, theme)
        self.open(path)
        return self.whole_page(width)

    def be_as(self, width: int, theme: str) -> None:
        """A screen of this width, by day (light) or by night (dark), for what is open and what is opened."""
        scheme = [{"name": "prefers-color-scheme", "value": theme}]
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def whole_page(self, width: int) -> bytes:
        """A picture of what is open, beyond the window too."""
        height = self.driver.execute_script("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": width, "height": min(height, 4000), "scale": 1}
        shot = {"format": "png", "captureBeyondViewport": True, "clip": clip}
        return b64decode(self.driver.execute_cdp_cmd("Page.captureScreenshot", shot)["data"])

    def look_no_more(self) -> None:
        """The window and the theme as they were."""
        self.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})

    def picture(self, name: str) -> None:
        """A screenshot, where the environment names a folder SCREENSHOTS to look at."""
        if folder := os.environ.get("SCREENSHOTS"):
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@contextmanager
def browser(url: str) -> Iterator[Browser]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    width, height = SIZE
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-dev-shm-usage",
        f"window-size={width},{height}",
    ):
        options.add_argument(f"--{argument}")
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver, url)
    finally:
        driver.quit()

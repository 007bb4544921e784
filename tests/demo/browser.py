"""Headless Chromium, through selenium, with nothing of its own accord over the network."""

import os

from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, CHROMEDRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
FLAGS = ["--headless=new", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync",
         # A message that is still fading in has no text for the driver.
         "--force-prefers-reduced-motion"]


class Browser:
    """A browser with a profile of its own."""

    def __init__(self, profile, url):
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        # Chromium's sandbox does not work for root, who runs the tests in a container.
        for flag in [*FLAGS, f"--user-data-dir={profile}", *(["--no-sandbox"] if os.geteuid() == 0 else [])]:
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
        self.driver.set_page_load_timeout(60)
        self.url = url

    def close(self):
        self.driver.quit()

    def get(self, path="/"):
        self.driver.get(self.url + path)

    def submit(self, form, **fields):
        """Fills the fields of a form in, sends it with its button, and waits for the page after."""
        before = self.driver.find_element(By.TAG_NAME, "html")
        form = self.driver.find_element(By.CSS_SELECTOR, f"form[action='{form}']")
        for name, text in fields.items():
            form.find_element(By.NAME, name).send_keys(text)
        form.find_element(By.TAG_NAME, "button").click()
        WebDriverWait(self.driver, 60).until(lambda _: self._has_gone(before) and self._is_complete())

    def texts(self, selector):
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def text(self, selector):
        """The text of the one element, or None."""
        found = self.texts(selector)
        assert len(found) <= 1, found
        return found[0] if found else None

    @property
    def cookie(self):
        return self.driver.get_cookie("sid")

    @property
    def complaints(self):
        """What stands on the console: scripts and styles that the policy refused, failed requests."""
        return [line for line in self.driver.get_log("browser") if line["level"] in ("SEVERE", "WARNING")]

    @staticmethod
    def _has_gone(element):
        try:
            element.is_enabled()
        except WebDriverException:  # A document that was replaced: the driver has several errors for it.
            return True
        return False

    def _is_complete(self):
        return self.driver.execute_script("return document.readyState") == "complete"

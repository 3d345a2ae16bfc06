"""The widget: its answers against the explainer, and its script in a browser, over anywidget's protocol."""

from __future__ import annotations

import base64
import json
import sys

import pytest

import saywhy
from saywhy.core.errors import MissingError, OptionError
from saywhy.serve.questions import Subject
from saywhy.serve.widget import answered, script, style
from saywhy.storage.explanations import parsed

TEXT = "I love you, I like you, I also kinda dislike you"


@pytest.fixture(scope="module")
def subject():
    return Subject(saywhy.Explainer(), "explainer")


def test_messages_are_answered_as_the_explainer_would(subject):
    told = answered(subject, {"id": 7, "kind": "explain", "body": {"input": TEXT, "method": "occlusion"}})
    found = parsed(told["result"], "the answer")
    expected = subject.explainer(TEXT, method="occlusion")
    assert told["id"] == 7
    assert found.scores == pytest.approx(expected.scores, abs=1e-5)
    asked = {"input": TEXT, "method": "occlusion", "absent_features": [[i] for i in range(13)]}
    numbers = answered(subject, {"id": 8, "kind": "predict", "body": asked})["result"]["numbers"]
    assert [expected.value - n["value"] for n in numbers] == pytest.approx(list(expected.scores), abs=1e-5)
    drawn = answered(subject, {"id": 9, "kind": "render", "body": {**told["result"], "as": "html"}})["result"]
    assert base64.b64decode(drawn["data"]).startswith(b"<!DOCTYPE html>")
    [about] = answered(subject, {"id": 10, "kind": "models"})["result"]
    assert about["labels"] == ["NEGATIVE", "POSITIVE"]
    json.dumps(about, allow_nan=False)


def test_what_goes_wrong_is_one_line(subject):
    for message, said in (
        ({"id": 1, "kind": "explain", "body": {"input": ""}}, "blank"),
        ({"id": 1, "kind": "explode"}, "Allowed: 'models'"),
        ({"id": 1, "kind": "render", "body": {"as": "exe"}}, "Allowed: 'html'"),
        ({"id": 1, "kind": "cite", "body": {"question": "who?", "documents": ["it"]}}, "language model"),
    ):
        told = answered(subject, message)
        assert said in told["error"]
        assert "\n" not in told["error"]

    def broken(texts):
        raise KeyError("line one\nline two")

    own = Subject(saywhy.Explainer(broken, labels=["a", "b"]), "own")
    assert "\n" not in answered(own, {"id": 1, "kind": "explain", "body": {"input": "a text"}})["error"]


def test_without_anywidget_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(MissingError, match="pip install 'anywidget>="):
        saywhy.Explainer().widget("a text")
    with pytest.raises(OptionError, match="`text`"):
        saywhy.Explainer().widget(3)


def test_the_widget_sends_what_was_asked():
    pytest.importorskip("anywidget")
    made = saywhy.Explainer().widget("a good film")
    sent = []
    made.send = lambda content, buffers=None: sent.append(content)
    made._handle_custom_msg({"id": 3, "kind": "explain", "body": {"input": "a good film"}}, [])
    assert made.text == "a good film"
    assert sent[0]["id"] == 3
    assert sent[0]["result"]["explanations"][0]["texts"] == {"text": "a good film"}


def test_the_script_works_in_a_browser(subject):
    playwright = pytest.importorskip("playwright.sync_api")
    import shutil

    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()
        wrong = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.expose_function("answered", lambda message: answered(subject, message))
        page.set_content(f"<style>{style()}</style><div id='cell'></div>")
        page.evaluate(
            """async (source) => {
                const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
                const { default: widget } = await import(address);
                const handlers = new Set();
                widget.render({ el: document.getElementById("cell"), model: {
                    get: () => "a good film, not dull",
                    on: (name, handler) => handlers.add(handler),
                    off: (name, handler) => handlers.delete(handler),
                    send: async (message) => { const told = await answered(message); for (const h of handlers) h(told); },
                } });
            }""",
            script(),
        )
        page.wait_for_selector(".word")
        assert page.locator(".word").all_inner_texts() == ["a", "good", "film", ",", "not", "dull"]
        page.locator(".word").nth(1).click()
        page.wait_for_selector(".toggle b")
        whole, without = (
            answered(
                subject,
                {"id": 1, "kind": "predict", "body": {"input": "a good film, not dull", "absent_features": [off]}},
            )
            for off in ([], [1])
        )
        before, now = (told["result"]["numbers"][0]["value"] for told in (whole, without))
        shown = page.inner_text(".toggle b").split()[0].replace("−", "-")
        assert float(shown) == pytest.approx(now, rel=0.01)
        assert now != pytest.approx(before, rel=0.01)
        assert page.locator("text=Link to this").count() == 0
        assert not wrong
        browser.close()

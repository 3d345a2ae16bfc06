"""The page in a real browser: what a person sees and does, by mouse, by keyboard alone, in the dark and on a phone.

Needs the extra `browser` and a Chromium that is installed; skipped where either is missing.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("playwright.sync_api")
pytest.importorskip("axe_playwright_python")

import numpy as np

import chromium
import saywhy
from saywhy.serve.app import CLIENT

TEXT = "I love you, I like you, I also kinda dislike you"
CHAT = (
    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}I{% endif %}"
)
pytestmark = chromium.needed


def serving(models, folder):
    """The address of a server in a process of its own, at a free port."""
    command = [sys.executable, "-m", "saywhy", "serve", "--port", "0", *models]
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=log, text=True) as run,
    ):
        line = run.stderr.readline()
        yield re.search(r"http://\S+", line)[0]
        run.terminate()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """A server over the model in the package."""
    yield from serving([], tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="module")
def browser():
    with chromium.launched() as opened:
        yield opened


@pytest.fixture
def tab(browser, address):
    """A page of the browser that has its first explanation; nothing may be refused by the policy or go wrong in the script."""
    yield from opened(browser, address, viewport={"width": 1280, "height": 900})


def opened(browser, address, **settings):
    context = browser.new_context(**settings)
    page, wrong = context.new_page(), []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto(address)
    page.wait_for_selector(".word", timeout=60_000)
    until(page, "document.querySelector('.settings').textContent.includes('kernel_shap')")
    yield page
    assert not wrong
    assert all(url.startswith(("data:", "blob:", address)) for url in requested)
    context.close()


def until(page, condition):
    """Waits for a condition; asked by the debugger, since the page's policy lets no text run as a script."""
    for _ in range(1500):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(20)
    raise AssertionError(f"{condition} never was true")


@pytest.fixture(scope="module")
def expected():
    return saywhy.Explainer()(TEXT)


def number(text):
    return float(text.replace("−", "-").replace("+", ""))


def test_the_first_explanation_is_there_without_a_click(tab, expected):
    assert "The model says POSITIVE (76.8%)" in tab.inner_text("h2")
    words = tab.locator(".word")
    assert words.all_inner_texts() == list(expected.words)
    said = [words.nth(i).get_attribute("aria-label") for i in range(words.count())]
    for label, word, score in zip(said, expected.words, expected.scores, strict=True):
        assert label.startswith(f"{word}, ")
        assert number(label.split(", ")[-1]) == pytest.approx(score, rel=0.01)
    strongest = int(abs(expected.scores).argmax())
    assert float(words.nth(strongest).evaluate("e => e.style.getPropertyValue('--a')")) == 1.0


def test_a_click_switches_a_word_off_and_shows_what_moved(tab, expected):
    tab.locator(".word").nth(1).click()
    tab.wait_for_selector(".toggle b")
    whole = saywhy.Explainer()(TEXT, method="occlusion", target="POSITIVE", trust="none")
    told = tab.inner_text(".toggle")
    now, before, moved, foretold = (number(n) for n in re.findall(r"[+−]\d+(?:\.\d+)?", told)[:4])
    assert now == pytest.approx(whole.value - whole.scores[1], rel=0.01)
    assert before == pytest.approx(whole.value, rel=0.01)
    assert moved == pytest.approx(-whole.scores[1], rel=0.01)
    assert foretold == pytest.approx(-expected.scores[1], rel=0.01)
    assert "now says NEGATIVE" in told
    assert tab.locator(".word").nth(1).get_attribute("aria-pressed") == "false"
    tab.locator(".word").nth(1).click()
    tab.wait_for_selector("text=All words are on")


def test_typing_explains_after_a_pause(tab):
    tab.fill("textarea", "A dull, predictable mess")
    until(tab, "document.querySelector('h2').textContent.includes('NEGATIVE')")
    assert tab.locator(".word").all_inner_texts() == ["A", "dull", ",", "predictable", "mess"]
    tab.fill("textarea", "")
    tab.wait_for_selector("text=Type or paste a text")
    tab.fill("textarea", "😀 naïve <b>fun</b>")  # characters beyond the basic plane, and markup
    until(
        tab,
        "document.querySelectorAll('.word').length > 2 && document.querySelector('.text').textContent.includes('fun')",
    )
    assert tab.inner_text(".text") == "😀 naïve <b>fun</b>"


def test_the_keyboard_alone_is_enough(tab):
    """The text is one stop: arrow keys move inside, space switches, and the next Tab leaves it."""
    tab.locator("textarea").first.focus()
    for _ in range(30):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.classList.contains('word')"):
            break
    at = "[...document.querySelectorAll('.word')].indexOf(document.activeElement)"
    assert tab.evaluate(at) == 0
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(at) == 1
    assert "raises POSITIVE" in tab.inner_text(".said")
    tab.keyboard.press("Space")
    tab.wait_for_selector(".toggle b")
    tab.keyboard.press("End")
    assert tab.evaluate(at) == 12
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate(at) == 12
    tab.keyboard.press("Home")
    tab.keyboard.press("Tab")
    assert tab.evaluate(at) == -1
    tab.keyboard.press("Shift+Tab")
    assert tab.evaluate(at) == 0


def choose(tab, label, value):
    tab.locator(f"label:has-text('{label}') select").first.select_option(value)


def test_settings_change_what_is_explained(tab):
    choose(tab, "Method", "kernel_shap")
    tab.wait_for_selector("path.arc", state="attached")
    assert tab.locator("path.arc").count() == 10
    choose(tab, "Features", "sentence")
    until(tab, "document.querySelectorAll('.word').length === 1")
    choose(tab, "Features", "")
    choose(tab, "Target", "every label")
    until(tab, "document.querySelectorAll('td.cell').length === 2 * (13 + 4)")
    choose(tab, "Target", "NEGATIVE")
    choose(tab, "Unit", "prob")
    tab.wait_for_selector("h2:has-text('NEGATIVE is raised most by')")


def test_variants_code_and_files(tab, tmp_path):
    tab.click("text=Without each feature")
    tab.wait_for_selector("text=the model then says")
    assert tab.locator("td:has-text('NEGATIVE (another)')").count() >= 1
    choose(tab, "Method", "occlusion")
    tab.wait_for_selector("p:has-text('occlusion')")
    tab.click("text=Code for this")
    shown = tab.inner_text("pre")
    assert shown.splitlines()[-2:] == [
        "explainer = saywhy.Explainer()",
        f'print(explainer("{TEXT}", method="occlusion"))',
    ]
    names = {}
    exec(shown.replace("print(", "e = ("), names)
    for kind in ("json", "html", "svg"):
        with tab.expect_download() as waiting:
            tab.click(f"button:text-is('{kind.upper()}')")
        waiting.value.save_as(tmp_path / f"why.{kind}")
        assert (tmp_path / f"why.{kind}").stat().st_size > 1000
    assert saywhy.load(tmp_path / "why.json").scores == pytest.approx(names["e"].scores, abs=1e-5)


def test_methods_beside_each_other(tab):
    """The cells are the numbers of the explainer, and the correlation is NumPy's."""
    tab.click("button:text-is('Compare methods')")
    tab.wait_for_selector("h3:has-text('How far they agree')")
    ticked = tab.eval_on_selector_all(".ticks input:checked", "boxes => boxes.map(b => b.value)")
    assert ticked == ["integrated_gradients", "occlusion", "kernel_shap", "libra"]
    assert "4 methods explain POSITIVE" in tab.inner_text("section.box")
    for name in ("kernel_shap", "libra"):
        tab.uncheck(f".ticks input[value={name}]")
    tab.click("button:text-is('Compare')")
    tab.wait_for_selector("p:has-text('2 methods explain POSITIVE')")
    explainer = saywhy.Explainer()
    found = [explainer(TEXT, method=name) for name in ("integrated_gradients", "occlusion")]
    cells = tab.locator("[aria-label='The scores of every method'] tbody tr").first.locator("td").all_inner_texts()
    assert [number(cell) for cell in cells[1:]] == pytest.approx([e.scores[0] for e in found], rel=0.01)
    agree = tab.locator("[aria-label^='Correlation'] tbody tr").first.locator("td").all_inner_texts()
    assert agree == ["integrated_gradients", "1.00", f"{np.corrcoef(found[0].scores, found[1].scores)[0, 1]:.2f}"]
    tab.click("text=Code for these")
    shown = tab.locator("pre").last.inner_text()
    assert shown.splitlines()[-2:] == [
        'for method in ["integrated_gradients", "occlusion"]:',
        f'    print(explainer("{TEXT}", method=method))',
    ]
    choose(tab, "Baseline value", "drop")  # then gradients cannot be followed, and the page says so
    until(tab, "document.querySelector('p.small').textContent.includes('kernel_shap')")
    tab.click("button:text-is('Compare methods')")
    tab.wait_for_selector("p:has-text('integrated_gradients cannot explain this')")
    assert "2 methods explain POSITIVE" in tab.inner_text("section.box")


def test_a_link_restores_what_was_seen(tab, address):
    tab.fill("textarea", "A dull, predictable mess")
    until(tab, "document.querySelectorAll('.word').length === 5")
    choose(tab, "Method", "occlusion")
    tab.wait_for_selector("p:has-text('occlusion')")
    tab.locator(".word").nth(1).click()
    tab.wait_for_selector(".toggle b")
    told = tab.inner_text(".toggle")
    tab.click("text=Link to this")
    link = tab.inner_text("pre")
    other = tab.context.new_page()
    other.goto(link)
    other.wait_for_selector(".toggle b")
    assert other.inner_text(".toggle") == told
    assert other.input_value("textarea >> nth=0") == "A dull, predictable mess"
    other.close()


def test_history_and_two_side_by_side(tab):
    tab.fill("textarea", "A dull, predictable mess")
    until(tab, "document.querySelectorAll('.word').length === 5")
    tab.click("text=History since")
    assert tab.locator("ol.history li").count() == 2
    tab.click("ol.history li:last-child button")
    until(tab, "document.querySelectorAll('.word').length === 13")
    tab.click("text=Two side by side")
    tab.wait_for_selector("text=The scores correlate by 1.00")
    tab.locator("section.box").nth(1).locator("label:has-text('Method') select").select_option("occlusion")
    until(tab, "/correlate by 0/.test(document.querySelector('section.under').textContent)")
    tab.click("text=One alone")
    tab.click("text=What these numbers mean")
    assert "A logit is the number" in tab.inner_text("section.box")
    assert tab.locator("section.box[aria-label='Explanation']").count() == 1


def test_an_error_is_said_where_the_result_would_be(tab):
    tab.fill("textarea", "long " * 30_000)
    tab.wait_for_selector(".status.error")
    assert "characters" in tab.inner_text(".status.error")
    choose(tab, "A text that is too long", "truncate")
    tab.fill("textarea", "A good film")
    until(tab, "document.querySelectorAll('.word').length === 3")


def test_slow_work_can_be_cancelled(tab):
    tab.fill("textarea", "a good film, " * 100)
    choose(tab, "Method", "shapley_sampling")
    choose(tab, "A text that is too long", "window")
    tab.click("button:text-is('Cancel')")
    tab.wait_for_selector("text=Cancelled.")
    tab.fill("textarea", "A good film")
    until(tab, "document.querySelectorAll('.word').length === 3")


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_is_cut_off(browser, address, scheme, width):
    for tab in opened(browser, address, viewport={"width": width, "height": 800}, color_scheme=scheme):
        paper = tab.evaluate("getComputedStyle(document.querySelector('.box')).backgroundColor")
        assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(22, 25, 29)")
        choose(tab, "Method", "kernel_shap")
        tab.wait_for_selector("path.arc", state="attached")
        tab.locator(".word").nth(1).click()
        tab.wait_for_selector(".toggle b")
        tab.click("text=Without each feature")
        tab.wait_for_selector("text=the model then says")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        tab.click("text=What these numbers mean")
        tab.click("button:text-is('Compare methods')")
        tab.wait_for_selector("h3:has-text('How far they agree')")
        tab.click("text=History since")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert chromium.violations(tab) == []
        tab.click("button:text-is('Dark'), button:text-is('Light')")
        other = tab.evaluate("getComputedStyle(document.querySelector('.box')).backgroundColor")
        assert other != paper


def test_the_client_is_small_and_has_no_markup_in_its_script():
    files = list(CLIENT.iterdir())
    assert sum(file.stat().st_size for file in files) <= 150_000
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not re.search(
            r"innerHTML|insertAdjacentHTML|document\.write|\beval\(|https?://(?!www\.w3\.org/2000/svg)", text
        )
        assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son\w+=[\"']", text) or file.suffix == ".js"


@pytest.fixture(scope="module")
def tasks_address(tmp_path_factory):
    """A server over tiny models of other tasks, saved as folders."""
    yield from serving(*saved_models(tmp_path_factory.mktemp("models")))


def saved_models(folder):
    import copy

    import pictures
    from conftest import headed
    from tiny_lm import language_model

    tiny, tokenizer = language_model("GPT2")
    longer, reads = copy.deepcopy(tiny.config), copy.deepcopy(tokenizer)
    longer.n_positions = reads.model_max_length = 512  # documents and their instructions take 77 tokens
    reads.chat_template = CHAT

    made = {
        "qa": headed("bert", "span"),
        "nli": headed("bert", "labels", "nli"),
        "writer": (tiny, tokenizer),
        "eyes": pictures.tiny("vit"),
        "near": headed("bert", "vector"),
        "tags": headed("bert", "tokens"),
        "gap": headed("bert", "blanks"),
        "reader": (type(tiny)(longer), reads),
    }
    for name, parts in made.items():
        for part in parts:
            part.save_pretrained(folder / name)
    chosen = {"nli": f"zero-shot-classification={folder / 'nli'}", "near": f"sentence-similarity={folder / 'near'}"}
    models = [word for name in made for word in ("--model", chosen.get(name, str(folder / name)))]
    return models, folder


def ready(page):
    """Waits until every model is loaded."""
    until(page, "document.querySelector('.settings')?.textContent.includes('reader') === true")
    until(page, "!document.querySelector('.settings').textContent.includes('loading')")


def test_every_kind_of_input_has_its_fields(browser, tasks_address, tmp_path):
    pytest.importorskip("PIL")
    import pictures

    page = browser.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(tasks_address)
    ready(page)

    def field(label):
        return page.locator(f"label:has-text('{label}') textarea").first

    def words():
        until(
            page,
            "document.querySelectorAll('.word').length > 1 && !document.querySelector('.status').textContent.includes('…')",
        )
        return [word.strip() for word in page.locator(".word").all_inner_texts()]

    field("Question").fill("who made it?")
    field("Context").fill("a good film you like")
    page.wait_for_selector(".word")
    assert words()[-5:] == ["a", "good", "film", "you", "like"]
    choose(page, "Model", "nli (zero-shot-classification)")
    field("Text").fill("a good film")
    field("Labels").fill("sport, art")
    until(page, "/sport|art/.test(document.querySelector('h2')?.textContent ?? '')")
    assert words() == ["a", "good", "film"]
    choose(page, "Model", "writer")
    field("Prompt").fill("I love you, I")
    page.locator("label:has-text('Target') input").fill(" like")
    page.keyboard.press("Tab")
    until(
        page,
        "/like'? is/.test(document.querySelector('h2').textContent)",
    )
    assert words()[:3] == ["I", "love", "you"]
    page.click("text=Values for {slots}")
    field("Values of the slots").fill("verb=love instead of hate")
    field("Prompt").fill("I {verb} you, I")
    until(page, "document.querySelectorAll('.word').length === 1")
    choose(page, "Model", "eyes")
    pictures.photo().save(tmp_path / "photo.png")
    page.set_input_files("input[type=file]", tmp_path / "photo.png")
    page.wait_for_selector(".stage .word")
    assert page.locator(".stage .word").count() == 16
    page.locator(".stage .word").nth(5).click()
    page.wait_for_selector(".toggle b")
    page.click("text=Two side by side")  # the picture goes along
    page.wait_for_selector("text=The scores correlate by 1.00")
    assert page.locator(".stage").count() == 2
    page.click("text=One alone")
    choose(page, "Model", "near (sentence-similarity)")
    field("First text").fill("a good film")
    field("Second text").fill("a dull film")
    until(page, "document.querySelectorAll('.text').length === 2")
    choose(page, "Model", "tags")
    field("Text").fill("Ada made a film")
    until(page, "document.querySelectorAll('.word').length === 4")
    choose(page, "Targets", "every")
    page.wait_for_selector("[aria-label='The scores of every target'] td:has-text('trust') >> nth=0")
    assert page.locator("[aria-label='The scores of every target'] thead th").count() > 2
    page.click("text=History since")
    page.click("ol.history button:has-text('an image')")  # a picture is kept while the page is open
    page.wait_for_selector(".stage .word")
    choose(page, "Model", "gap")
    field("Text").fill("a good [MASK] you like")
    until(page, "document.querySelectorAll('.word').length === 4")
    page.click("text=Citations: which sentences")
    field("Documents").fill("I love you. I like you.")
    page.locator("details:has-text('Citations') label:has-text('Question') textarea").fill("who?")
    page.locator("details:has-text('Citations') label:has-text('Answer') textarea").fill("I love")
    page.click("text=Find the sources")
    page.wait_for_selector(
        "details:has-text('Citations') >> text=/longer than|tokens/"
    )  # this tiny model reads 64 tokens
    page.click("text=Two side by side")  # and two models beside each other
    page.locator("section.box").nth(1).locator("label:has-text('Model') select").select_option("tags")
    page.wait_for_selector("section.box >> nth=1 >> .word")
    page.wait_for_selector("section.under:has-text('on the right') >> nth=0")
    assert not wrong
    page.close()


def test_a_conversation_has_a_turn_for_each_message(browser, tasks_address):
    """The words are those of the messages, and the scores those of a Chat."""
    page = browser.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(tasks_address)
    ready(page)
    choose(page, "Model", "writer")
    page.wait_for_selector("label:has-text('Prompt')")
    assert page.locator("text=A conversation instead").count() == 0  # its tokenizer has no template for one
    choose(page, "Model", "reader")
    page.locator("label:has-text('Prompt') textarea").first.fill("I love you")
    page.locator("label:has-text('Target') input").fill(" like")
    page.click("text=A conversation instead")
    page.click("text=Add a turn")
    page.get_by_label("Words of turn 2").fill("a good film")
    page.click("text=Add a turn")
    page.get_by_label("Words of turn 3").fill("not at all")
    roles = page.eval_on_selector_all(".turn select", "all => all.map(each => each.value)")
    assert roles == ["user", "assistant", "user"]
    page.get_by_label("Role, turn 1").select_option("system")
    until(page, "document.querySelectorAll('.word').length === 9")
    assert page.locator(".word").all_inner_texts() == ["I", "love", "you", "a", "good", "film", "not", "at", "all"]
    page.click("text=Code for this")
    shown = page.inner_text("pre")
    messages = [("system", "I love you"), ("assistant", "a good film"), ("user", "not at all")]
    assert "from saywhy.llm import Chat" in shown
    assert str([{"role": r, "content": c} for r, c in messages]).replace("'", '"') in shown
    choose(page, "Features", "message")
    until(page, "document.querySelectorAll('.word').length === 3")
    page.get_by_label("Remove turn 2").click()
    until(page, "document.querySelectorAll('.word').length === 2")
    page.locator(".word").first.click()
    page.wait_for_selector(".toggle b")
    page.click("text=One prompt instead")
    until(page, "document.querySelectorAll('.word').length === 3")
    assert page.input_value("label:has-text('Prompt') textarea >> nth=0") == "I love you"
    assert not wrong
    page.close()


def test_sources_are_saved_as_a_page_and_as_markdown(browser, tasks_address, tmp_path):
    from saywhy.llm.citations import Citations

    page = browser.new_page()
    page.goto(tasks_address)
    ready(page)
    page.click("text=Citations: which sentences")
    sources = page.locator("details:has-text('Citations')")
    sources.locator("select").select_option("reader")
    for label, text in {"Question": "who?", "Documents": "I love you. I like you.", "Answer": "I love you."}.items():
        sources.locator(f"label:has-text('{label}') textarea").fill(text)
    page.click("text=Find the sources")
    sources.locator("h3:has-text('The answer')").wait_for()
    for button, ending in {"JSON": "json", "HTML": "html", "Markdown": "md"}.items():
        with page.expect_download() as waiting:
            sources.locator(f"button:text-is('{button}')").click()
        assert waiting.value.suggested_filename == f"sources.{ending}"
        waiting.value.save_as(tmp_path / f"sources.{ending}")
    found = Citations.load(tmp_path / "sources.json")
    assert (found.answer, found.model, len(found)) == ("I love you.", "reader", 1)
    assert (tmp_path / "sources.html").read_text(encoding="utf-8").strip() == found.to_html().strip()
    assert (tmp_path / "sources.md").read_text(encoding="utf-8").strip() == found.to_markdown().strip()
    page.close()

"""Questions about a page's accessibility, asked in the page itself; formulas from WCAG 2.2."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

CONTRAST = """
() => {
  const parse = (text) => {
    const m = text.match(/rgba?\\(([^)]+)\\)/);
    const [r, g, b, a] = m[1].split(/[ ,/]+/).map(Number);
    return [r, g, b, a === undefined ? 1 : a];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const ground = (element) => {
    const layers = [];
    for (let one = element; one; one = one.parentElement) {
      layers.push(parse(getComputedStyle(one).backgroundColor));
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((c) => {
      c /= 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (!text || element.closest(".visually-hidden, .skip, option, noscript, :disabled")) continue;
    if (!element.checkVisibility() || !element.getClientRects().length) continue;
    const style = getComputedStyle(element);
    const svg = element instanceof SVGElement;
    const under = ground(element);
    const ink = over(parse(svg ? style.fill : style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    const ratio = (a + 0.05) / (b + 0.05);
    found.push({ text: text.slice(0, 40), ratio, needed: large ? 3 : 4.5 });
  }
  return found;
}
"""

UNNAMED = """
() => [...document.querySelectorAll(
    'input, select, textarea, button, a, canvas, progress, [role="img"], summary, dialog, section')]
  .filter((element) => element.checkVisibility())
  .filter((element) => {
    const by = element.getAttribute("aria-labelledby");
    const label = element.labels && [...element.labels].map((one) => one.textContent).join("");
    const own = ["INPUT", "SELECT", "SECTION", "DIALOG"].includes(element.tagName)
      ? "" : element.textContent;
    const name = element.getAttribute("aria-label") || label || own
      || (by && document.getElementById(by)?.textContent);
    return !name || !name.trim();
  })
  .map((element) => element.outerHTML.slice(0, 120))
"""

DOUBLE_IDS = """
() => {
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  return ids.filter((id, i) => ids.indexOf(id) !== i);
}
"""

SMALL_TARGETS = """
() => [...document.querySelectorAll("button, a, select, summary, input:not([type=checkbox])")]
  .filter((element) => element.checkVisibility() && !element.closest(".skip"))
  .map((element) => [element.outerHTML.slice(0, 80), element.getBoundingClientRect()])
  .filter(([, box]) => box.width && (box.width < 24 || box.height < 16))
  .map(([text]) => text)
"""


def check(page: Page) -> None:
    """Contrast, names of controls, ids, targets, and no scrolling to the side."""
    contrasts: list[dict[str, Any]] = page.evaluate(CONTRAST)
    assert len(contrasts) > 5, "the page shows text"
    assert [contrast for contrast in contrasts if contrast["ratio"] < contrast["needed"]] == []
    assert page.evaluate(UNNAMED) == []
    assert page.evaluate(DOUBLE_IDS) == []
    assert page.evaluate(SMALL_TARGETS) == []
    wide = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
    assert wide[0] <= wide[1], "scrolls to the side"

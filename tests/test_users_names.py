"""The names of a user's own attributes and methods are free, as far as real Keras leaves them free.

Each name that our objects have and Keras's do not, with and without a leading underscore, and 200 common words: a
subclass may have an attribute and a method of that name, and builds, trains and copies its config.
"""

import keras
import numpy as np
import pytest

import lamina

WORDS = """
    able about above accept account across action add adjust after again alpha amount anchor angle answer apply area
    array base batch begin beta bias block body branch break build by cache call center chain change channel check
    child choose class clear clip close code column combine compare compute condition config connect constant content
    context control copy core count create current cut data decay decode default delta depth detail device dim
    distance divide done down draw drop encode end entry epoch error even event every example expand extra factor
    feature field file fill filter final find first fit fix flag flow fold form forward found frame free full gain
    gate given goal grad group guide half hand handle head height hidden high hint hold host identity image index
    info inner input inside item join keep kernel key kind known label last layer learn left length level limit line
    link list load local loss low main make map mark mask match max mean measure memory merge method middle min mode
    model more move name narrow next node noise norm note number offset open order outer output own pack pad pair part
    pass path pattern phase piece place plan point pool position power prepare price probe project query rank rate
    ratio raw read ready reduce region reset rest result right root row rule run sample scale scan score scope search
    seed select send set shape shift show side size skip slice slot small smooth solve sort source span speed split
    stack stage start state step stop store style sum switch table tag target task temp term test text time token top
    total trace track train trim turn type unit update use validate value vector view walk want weight wide width
    window word work wrap zero
""".split()
X = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
Y = X.sum(1, keepdims=True)


def fitted(library, kinds):
    """One instance of each class, after a model was built, compiled and fitted with it."""
    model = kinds["Sequential"]([library.layers.Input((3,)), kinds["Layer"](), library.layers.Dense(1)])
    loss, metric = kinds["Loss"](), kinds["Metric"]()
    optimizer, callback = kinds["Optimizer"](0.01), kinds["Callback"]()
    model.compile(optimizer, loss, metrics=[metric])
    model.fit(X, Y, epochs=1, verbose=0, callbacks=[callback])
    model.predict(X, verbose=0)
    model.evaluate(X, Y, verbose=0)
    return {
        "Layer": model.layers[0],
        "Sequential": model,
        "Loss": loss,
        "Metric": metric,
        "Optimizer": optimizer,
        "Callback": callback,
    }


def bases(library):
    """Classes as a user would write them, of which each test derives its own."""
    backend = library.ops if library is keras else __import__("jax.numpy").numpy

    class Scale(library.layers.Layer):
        def build(self, input_shape):
            self.factor = self.add_weight((input_shape[-1],), "ones")

        def call(self, x):
            return backend.multiply(x, self.factor)

    class Squared(library.losses.Loss):
        def call(self, y_true, y_pred):
            return backend.mean((y_true - y_pred) ** 2, -1)

    class Largest(library.metrics.Metric):
        def __init__(self, name="largest", **kwargs):
            super().__init__(name=name, **kwargs)
            self.most = self.add_weight(name="most", initializer="zeros")

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.most.assign(backend.maximum(self.most, backend.max(backend.abs(y_true - y_pred))))

        def result(self):
            return backend.multiply(self.most, 1)

    class Losses(library.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = logs["loss"]

    return {
        "Layer": Scale,
        "Sequential": library.Sequential,
        "Loss": Squared,
        "Metric": Largest,
        "Optimizer": library.optimizers.Adam,
        "Callback": Losses,
    }


OURS, THEIRS = bases(lamina), bases(keras)
FITTED, FITTED_BY_KERAS = fitted(lamina, OURS), fitted(keras, THEIRS)


def names_of(kind):
    """The names that are tried for a class: ours that Keras does not have, and words, with and without underscore."""
    ours, theirs = set(dir(FITTED[kind])) | set(vars(FITTED[kind])), set(dir(FITTED_BY_KERAS[kind]))
    own = ours - theirs | {name.removeprefix("_lamina_") for name in ours}
    bare = {name.lstrip("_") for name in own | set(WORDS) if not name.startswith("__")}
    names = bare | {f"_{name}" for name in bare}
    # The fields and methods of the classes above are not the user's to name again.
    written = {"factor", "most", "seen", "build", "call", "update_state", "result"}
    written |= {"lr"} if kind == "Optimizer" else set()  # documented: setting it sets the learning rate
    written |= {"classes_"} if kind == "Sequential" else set()  # documented: setting it names the classes
    return sorted(
        name for name in names if name.isidentifier() and name not in theirs | written and "lamina" not in name
    )


def derived(kind, names, how):
    """A subclass with an attribute, or a method, of each of the names."""
    base = OURS[kind]
    if how == "method":
        return type(f"Own{kind}", (base,), {name: lambda self, *args, **kwargs: "mine" for name in names})

    def set_all(self):
        for name in names:
            setattr(self, name, f"my {name}")

    def __init__(self, *args, **kwargs):
        base.__init__(self, *args, **kwargs)
        set_all(self)

    made = type(f"Own{kind}", (base,), {} if kind == "Callback" else {"__init__": __init__})
    if kind == "Callback":
        made.set_model = lambda self, model: (base.set_model(self, model), set_all(self))
    return made


def check(kind, names, how):
    own = derived(kind, names, how)
    made = fitted(lamina, OURS | {kind: own})
    thing = made[kind]
    for name in names:
        value = getattr(thing, name)
        assert (value() if how == "method" else value) == ("mine" if how == "method" else f"my {name}"), name
    plain = fitted(lamina, OURS)
    for mine, its in zip(made["Sequential"].get_weights(), plain["Sequential"].get_weights(), strict=True):
        assert mine.shape == its.shape and np.isfinite(mine).all()
    if kind == "Sequential":
        again = own.from_config(thing.get_config(), custom_objects={"Scale": OURS["Layer"]})
        assert [type(layer).__name__ for layer in again.layers] == ["Scale", "Dense"]
    elif kind != "Callback":
        assert type(own.from_config(thing.get_config())) is own


@pytest.mark.parametrize("how", ["attribute", "method"])
@pytest.mark.parametrize("kind", OURS)
def test_a_subclass_may_use_every_name_that_keras_leaves_free(kind, how):
    names = names_of(kind)
    assert len(names) > 300
    while failure := broken(kind, names, how):  # halve the names until one is left
        if len(names) == 1:
            raise AssertionError(f"{kind}: the {how} {names[0]!r} breaks it: {failure!r}") from failure
        half = names[: len(names) // 2]
        names = half if broken(kind, half, how) else names[len(names) // 2 :]


def broken(kind, names, how):
    try:
        check(kind, names, how)
    except Exception as failure:
        return failure
    return None


def test_the_names_beyond_keras_are_these():
    """The public names that our objects have and Keras's do not: a short list, which the documentation shows."""
    documented = {
        "Layer": {"random_key", "input_shape", "output_shape"},
        "Sequential": {
            "random_key",
            "load_torch_state_dict",
            "torch_state_dict",
            "check",
            "classes_",
            "predict_classes",
        },
        "Callback": {"every_batch", "handles_nan"},
        "Optimizer": {"lr"},
    }
    for kind in OURS:
        ours, theirs = set(dir(FITTED[kind])) | set(vars(FITTED[kind])), set(dir(FITTED_BY_KERAS[kind]))
        public = {name for name in ours - theirs if not name.startswith("_")}
        assert public <= documented.get(kind, set()), kind
        private = {name for name in ours - theirs if name.startswith("_") and not name.startswith(("_lamina", "__"))}
        assert private <= {"_repr_html_"}, kind  # by which notebooks ask for a table


def test_an_argument_may_be_called_cls_or_self():
    class Own(lamina.Layer):
        def __init__(this, cls=3, self=4, **kwargs):
            super().__init__(**kwargs)
            this.told = cls, self

    class Stack(lamina.Sequential):
        def __init__(self, cls=3):
            super().__init__()
            self.told = cls

    class Penalty(lamina.regularizers.Regularizer):
        def __init__(this, self=1, cls=2):
            this.told = self, cls

    for own in (Own(cls=5, self=6), Own.from_config(Own(cls=5, self=6).get_config()), Penalty(self=5, cls=6)):
        assert own.told == (5, 6)
    assert Stack(cls=5).told == 5

"""What users write on the command line means what it looks like."""

import pytest

from autoact.config.compose import compose, settings
from autoact.core.errors import AutoactError


def read(*overrides):
    return settings(compose(overrides))


@pytest.mark.parametrize(
    "text",
    [
        "plain.csv",
        "my file.csv",
        "sales (1).csv",
        "a=b.csv",
        "x,y.csv",
        "[x].csv",
        "/tmp/Größe/ä.csv",
        "it's.csv",
        "C:\\new\\x.csv",
        "1",
        "007",
        "1e3",
        "true",
        "no",
        "データ.csv",
        "{x}",
    ],
)
def test_text_stays_text(text):
    assert read(f"data.path={text}").data.path == text


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("'my file.csv'", "my file.csv"),
        ('"a, b"', "a, b"),
        ("'it\\'s'", "it's"),
        ("a\\,b", "a,b"),
        ("' '", " "),
    ],
)
def test_quotes_and_escapes_are_hydras(given, meant):
    assert read(f"data.target={given}").data.target == meant


@pytest.mark.parametrize("mark", [";", ",", "|", "\t", "' '"])
def test_a_delimiter_needs_no_quotes(mark):
    assert read(f"data.delimiter={mark}").data.delimiter == mark.strip("'")


@pytest.mark.parametrize("text", ["space.parameters=2", "confirm.early=1.5", "search.rungs.enabled=-1"])
def test_a_number_is_no_truth_value(text):
    with pytest.raises(AutoactError, match=f"^{text} must be true or false$"):
        read(text)


@pytest.mark.parametrize(("text", "meant"), [("true", True), ("no", False), ("1", True), ("0", False)])
def test_truth_values(text, meant):
    assert read(f"confirm.early={text}").confirm.early is meant


def test_null_is_nothing():
    found = read("search.trials=null", "data.path=null", "search.patience=null")
    assert (found.search.trials, found.data.path, found.search.patience) == (None, None, None)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("[a,b]", ["a", "b"]),
        ("a", ["a"]),
        ("a,b", ["a", "b"]),
        ("[]", []),
        ("[Größe, 'a, b']", ["Größe", "a, b"]),
        ("Größe", ["Größe"]),
        ("[1,2]", ["1", "2"]),
        ("[true,null]", ["true", "null"]),
        ("[x (1),y=z]", ["x (1)", "y=z"]),
    ],
)
def test_lists_of_text(given, meant):
    assert read(f"data.drop={given}").data.drop == meant


@pytest.mark.parametrize(
    ("given", "meant"), [("[0,1e-3]", [0.0, 1e-3]), ("0.1", [0.1]), ("0.1,0.2", [0.1, 0.2]), ("[]", [])]
)
def test_lists_of_numbers(given, meant):
    assert read(f"space.weight_decay={given}").space.weight_decay == meant


@pytest.mark.parametrize("key", ["candidates", "space.candidates"])
def test_activations_by_name(key):
    assert read(f"{key}=[gelu,leaky_relu(negative_slope=0.2)]").space.candidates == [
        "gelu",
        "leaky_relu(negative_slope=0.2)",
    ]


def test_sub_trees_that_take_any_key_need_no_plus():
    found = read(
        "task=cancer",
        "trainer.max_epochs=3",
        "+trainer.precision=64",
        "recipe.arguments.width=8",
        "trainer.devices=0,1",
    )
    assert found.trainer == {"max_epochs": 3, "precision": 64, "devices": "0,1"}
    assert found.recipe.arguments["width"] == 8 and found.recipe.arguments["depth"] == 3
    assert read("trainer={max_epochs: 7}").trainer == {"max_epochs": 7}
    assert read("module_arguments.path=/tmp/ä.csv").module_arguments == {"path": "/tmp/ä.csv"}
    assert read("module_arguments.sizes=[1,2]").module_arguments == {"sizes": [1, 2]}


def test_keys_can_be_deleted_and_groups_too():
    assert read("task=cancer", "~trainer.max_epochs").trainer == {}
    assert read("~candidates").space.candidates == []


def test_interpolations_work():
    found = read("task=cancer", "output=/tmp/${task.name}", "data.drop=[${task.name},b]")
    assert (found.output, found.data.drop) == ("/tmp/cancer", ["cancer", "b"])


def test_plus_plus_and_plus_set_what_exists():
    assert read("++search.trials=4").search.trials == read("+search.trials=4").search.trials == 4


@pytest.mark.parametrize("none", ["task=", "task=null", "~task"])
def test_no_task_is_a_choice(none):
    assert read(none).task.name is None


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task=cancr", "unknown task 'cancr': did you mean cancer?"),
        ("task=cancer,churn", "unknown task 'cancer,churn'"),
        ("data=csvv", "unknown data 'csvv': did you mean csv?"),
        ("data=null", "unknown data 'null'"),
        ("search=3", "unknown search '3': Allowed: default, quick"),
        ("search=[1]", "unknown search '1'"),
        ("candidates=gelu", "activations by name: candidates=[gelu,tanh]"),
        ("serach.trials=3", "unknown key 'serach': did you mean search"),
        ("search.trails=3", "unknown key 'search.trails': did you mean search.trials"),
        ("trials=3", "unknown key 'trials': did you mean search.trials?"),
        ("+search.trails=3", "unknown key 'search.trails'"),
        ("+foo=bar", "unknown key 'foo'"),
        ("+foo.bar.x=1", "unknown key 'foo'"),
        ("data.path.x=1", "data.path"),
        ("search.trials=x", "search.trials=x must be a whole number"),
        ("search.trials=1.5", "search.trials=1.5 must be a whole number"),
        ("data.header=maybe", "data.header=maybe must be true or false"),
        ("data.drop=null", "data.drop=null cannot be null: leave it out"),
        ("space.learning_rate=[a,b]", "space.learning_rate[0] must be a number"),
        ("trainer.x=[1,", "cannot read trainer.x=[1,: a value with special characters needs quotes, key='value'"),
        ("=3", "settings are given as key=value"),
        ("search..trials=3", "cannot read search..trials=3"),
        ("~search.sampler", "search.sampler cannot be deleted: give it another value"),
        ("~search.foo", "search.foo"),
        ("+task=cancer", "task is chosen without a plus sign: task=CHOICE"),
        ("nogroup=x", "unknown key 'nogroup'"),
        ("hydra.run.dir=x", "starts no Hydra job"),
        ("output=${nope}", "output: Interpolation key 'nope' not found"),
        ("data.path=???", "missing mandatory value: path"),
        ("search.trials=0", "search.trials=0 must be 1 or more"),
        ("search.sampler=tpee", "unknown search.sampler 'tpee': did you mean tpe?"),
        ("tracking.backend=mlfow", "unknown tracking.backend 'mlfow': did you mean mlflow?"),
        ("tracking.children=some", "unknown tracking.children 'some'"),
        ("hardware.rounds=1", "hardware.rounds is 1: it must be 3 or more"),
        ("hardware.price_per_hour=3", "set hardware.currency"),
    ],
)
def test_mistakes_are_named_in_one_line(override, message):
    with pytest.raises(AutoactError) as caught:
        read(override)
    text = str(caught.value)
    assert message in text
    assert "\n" not in text and "hydra.cc" not in text and "Config search path" not in text

#!/usr/bin/env python3
"""Writes the calls that test_null.c makes: of each public function, one for every pointer among its
parameters with NULL in its place and one with NULL for all of them.

    null_calls.py INCLUDE_FOLDER null_calls.h DEPENDENCIES

The functions are read from the headers, so that a new one is tested at once. The other arguments are
such that the call would go through, as far as VALUES and CALLS know.
"""
# SPDX-License-Identifier: MIT
import pathlib
import re
import sys

# --- what NULL means ---

# For these functions NULL is a question like any other: about an object that is not there.
ASKING = re.compile(
    r"gr_(shape_\w+|\w*_of|numel|output|next_seed|graph_(error|status|precision|memory)|node_\w+"
    r"|param_(name|dtype|shape|data|grad|grad_rows|frozen)"
    r"|model_(error|status|training|params?|param_name|buffers?|states?|state_name|find|module|numel)"
    r"|module_(state|model|type|path|children|child|training|numel)"
    r"|optimizer_(lr|momentum|steps|name|error|settings)|ema_error|attrs_error|infer_shape|field_text"
    r"|op_find|op_differentiable|vocabulary_(size|token|find)|loader_batches"
    r"|(safetensors|npz)_(count|at|find|metadata)|profile_(ops|scopes|total|seconds))"
)

# These let go of an object, or close what a layer opened: of NULL they do nothing.
ENDING = re.compile(r"gr_(\w+_(free|release|close)|free_memory|site_begin|site_end)")

# These say what is wrong by what they give: a verdict, a callback or schedule with its problem.
ANSWERING = re.compile(
    r"gr_(gradcheck(_op|_module|_raw)?|multi_step_schedule|sequence|checkpoint|csv_log|tensorboard)")

# Parameters that may be NULL: by name everywhere, or of one function.
OPTIONAL = {"user", "metadata", "history", "report", "shortcut", "title", "site", "object", "each",
            "confusion", "probability", "next_u", "weights", "weight", "pos_weight", "mask", "bias",
            "h0", "c0", "lengths", "observer", "tracer", "attrs", "options"}
OPTIONAL_OF = {
    "gr_apply": {"g"}, "gr_apply_attrs": {"g", "a"}, "gr_apply_json": {"g", "json"},
    "gr_attention_forward": {"key", "value"}, "gr_batch_norm": {"w", "b"}, "gr_batch_norm_inference": {"w", "b"},
    "gr_check_report_json": {"buffer"}, "gr_check_report_text": {"buffer"},
    "gr_conv1d": {"b"}, "gr_conv2d": {"b"}, "gr_conv3d": {"b"},
    "gr_conv_transpose1d": {"b"}, "gr_conv_transpose2d": {"b"}, "gr_conv_transpose3d": {"b"},
    "gr_dataset_rows": {"out"}, "gr_fail": {"g", "all"}, "gr_fit_report_text": {"text"}, "gr_flow_text": {"text"},
    "gr_function_layer": {"type"}, "gr_graph_profile": {"p"}, "gr_group_norm": {"w", "b"},
    "gr_instance_norm": {"w", "b"}, "gr_layer_norm": {"w", "b"}, "gr_linear": {"b"}, "gr_module_add": {"name"},
    "gr_module_new": {"type"}, "gr_ops_json": {"op", "text", "all"}, "gr_optimizer_group": {"pattern"},
    "gr_param_new": {"name", "data", "all"}, "gr_profile_text": {"text"}, "gr_report_fit": {"validation", "test"},
    "gr_rms_norm": {"w"}, "gr_search_text": {"text"}, "gr_step_closure": {"loss"}, "gr_summary": {"buffer"},
    "gr_tensor_text": {"text"},
}

# Not called: they would replace the hooks. Not NULL: formats, which compilers refuse, and what goes
# with an argument that only gr_fit can make.
NOT_CALLED = {"gr_set_allocator", "gr_set_file_hooks"}
NOT_NULL = {("gr_save_training", "path")}

# --- arguments that do ---

VALUES = {
    "gr_tensor *": "o->x", "const gr_tensor *": "o->x", "gr_tensor *const *": "o->list", "gr_tensor **": "o->out",
    "gr_graph *": "o->g", "gr_model *": "o->m", "gr_module *": "o->net", "gr_module *const *": "&o->net",
    "gr_param *": "o->p", "gr_node *": "gr_node_of(o->x)", "gr_optimizer *": "o->opt", "gr_ema *": "o->ema",
    "gr_dataset *": "o->d", "gr_loader *": "o->l", "gr_vocabulary *": "o->v", "gr_scaler *": "o->s",
    "gr_safetensors *": "o->st", "gr_npz *": "o->npz", "gr_array *": "&o->array", "gr_profile *": "o->profile",
    "gr_attrs *": "o->attrs", "gr_op *": 'gr_op_find("add")', "gr_rows *": "gr_rows_new(2, 2, 3)",
    "gr_shape *": "&o->shape", "gr_check_input *": "&o->input", "gr_history *": "&o->history",
    "gr_dimension *": "&o->dimension", "FILE *": "o->file", "char *": "o->text",
    "const char *": '"text"', "const char *const *": "NULL", "gr_infer *": "&o->infer",
    "int": "1", "int64_t": "2", "size_t": "16", "double": "0.5", "bool": "true", "uint64_t": "1",
    "gr_dtype": "GR_F32", "gr_shape": "GR_SHAPE(2, 3)",
}
PATHS = {"path", "folder", "source", "target"}

# The calls that would not get far with the values above: all their arguments.
CALLS = {
    "gr_apply": "o->g, gr_op_find(\"add\"), o->list, 2, NULL",
    "gr_apply_attrs": "o->g, gr_op_find(\"add\"), o->list, 2, NULL",
    "gr_apply_json": "o->g, \"add\", o->list, 2, \"{}\"",
    "gr_attrs_set_ints": "o->attrs, \"stride\", o->ints, 2",
    "gr_attrs_set_numbers": "o->slope, \"slope\", o->doubles, 1",
    "gr_attrs_set_text": "o->attrs, \"stride\", \"text\"",
    "gr_backward": "o->loss", "gr_backward_each": "o->loss, any_receiver, NULL", "gr_backward_step": "o->opt, o->loss",
    "gr_flow_measure": "o->loss, (gr_flow_options){0}, (gr_flow *)o->room",
    "gr_gru": "o->steps, NULL, NULL, &o->gru, (gr_rnn_options){0}",
    "gr_lstm": "o->steps, NULL, NULL, NULL, &o->lstm, (gr_rnn_options){0}",
    "gr_rnn": "o->steps, NULL, NULL, &o->rnn, (gr_rnn_options){0}",
    "gr_hvp": "o->loss, &o->x, &o->x, 1, o->out",
    "gr_scaler_apply_sample": "o->s, o->floats, 3",
    "gr_search_save": "(const gr_search_results *)o->room, \"r.json\"",
    "gr_split": "o->x, 0, o->ints, 2, o->out",
    "gr_spectral_norm": "o->x, o->u, 1, o->out",
    "gr_text_windows": "o->ints, 4, 1, 8",
    "gr_vocabulary_decode": "o->v, o->ints, 1, (char **)o->room",
}


def argument(kind, name):
    """A value of this type for a parameter of this name."""
    plain = kind.replace("const ", "", 1)
    if kind == "const char *" and name in PATHS:
        return "o->path"
    if name == "format":
        return '"%s"'
    for known in (kind, plain):
        if known in VALUES:
            return VALUES[known]
    if kind.endswith("_fn *") or kind in ("gr_receiver *", "gr_observer *", "gr_tracer *", "gr_closure *", "gr_visit *"):
        return "any_" + kind.removeprefix("gr_").removesuffix(" *").removesuffix("_fn")
    if "(*)" in kind:
        return "any_loss" if "user" in kind else "gr_relu"
    if kind.endswith("*"):
        return f"({kind})o->room"
    return f"({kind}){{0}}" if kind.startswith("gr_") and not ENUMS.search(kind) else "0"


ENUMS = re.compile(r"gr_(verdict|precision|scaling|scaled|field_type|flow_state|matrix_norm_order|rnn_nonlinearity)$")

# --- the headers ---


def declarations(headers):
    """(result, name, parameters, whether more follow) of every function in the headers."""
    for header in headers:
        text = re.sub(r"/\*.*?\*/", " ", header.read_text(), flags=re.S)
        text = re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", " ", text, flags=re.M)
        for declaration in re.findall(r"GR_API\s+(?!extern)([^;]*);", text):
            declaration = re.sub(r"\s*GR_PRINTF\(.*", "", " ".join(declaration.split()))
            result, name, inside = re.fullmatch(r"(.*?)\b(gr_\w+) ?\((.*)\)", declaration).groups()
            yield result.strip(), name, [parameter(p) for p in split(inside) if p not in ("void", "...")], "..." in inside


def split(inside):
    """At the commas that are in no brackets."""
    parts, depth = [""], 0
    for c in inside:
        depth += (c in "([") - (c in ")]")
        if c == "," and not depth:
            parts.append("")
        else:
            parts[-1] += c
    return [p.strip() for p in parts]


def parameter(text):
    """(type, name); an array is a pointer."""
    function = re.fullmatch(r"(.*?)\(\*(\w+)\)(\(.*\))", text)
    if function:
        return f"{function[1].strip()} (*){function[3]}", function[2]
    kind, name, array = re.fullmatch(r"(.*?)(\w+)(\[.*\])?", text).groups()
    return kind.strip() + (" *" if array else ""), name


# --- the calls ---


def variants(name, parameters):
    """(what is NULL, the places of it) of each call; "x[0]": an array is there, its elements are not."""
    pointers = [i for i, (kind, p) in enumerate(parameters) if "*" in kind and p != "format" and (name, p) not in NOT_NULL]
    for i in pointers:
        yield parameters[i][1], {i: "NULL"}
        if parameters[i][0] in ("gr_tensor *const *", "gr_tensor **", "gr_module *const *"):
            yield parameters[i][1] + "[0]", {i: f"({parameters[i][0]})o->nothing"}
    if len(pointers) > 1:
        yield "all", {i: "NULL" for i in pointers}


def expected(result, name, what, parameters):
    """What the call has to do besides coming back."""
    optional = OPTIONAL | OPTIONAL_OF.get(name, set())
    kinds = dict((p, kind) for kind, p in parameters)
    if ASKING.fullmatch(name) or ENDING.fullmatch(name) or ANSWERING.fullmatch(name) or what in optional:
        return "COMES_BACK"
    if what == "all" and all(p in optional for kind, p in parameters if "*" in kind):
        return "COMES_BACK"
    if what.endswith("[0]") and (kinds[what[:-3]] == "gr_tensor **" or what[:-3] in optional):
        return "COMES_BACK"
    return "FAILS" if result == "gr_status" else "SAYS_SO"


def main(folder, output, dependencies):
    headers = sorted(pathlib.Path(folder).glob("gradus/*.h"))
    lines, rows = ["/* null_calls.h - made by null_calls.py. */"], []
    for result, name, parameters, variadic in declarations(headers):
        if name in NOT_CALLED:
            continue
        whole = split(CALLS[name]) if name in CALLS else [argument(*p) for p in parameters]
        assert len(whole) == len(parameters), name
        for what, nulls in variants(name, parameters):
            arguments = ", ".join([nulls.get(i, a) for i, a in enumerate(whole)] + ['"x"'] * variadic)
            call = f"{name}({arguments})"
            if result == "gr_status":
                body = f"return {call};"
            else:
                body = f"{'' if result == 'void' else '(void)'}{call}; return GR_OK;"
            lines.append(f"static gr_status call_{len(rows)}(objects *o) {{ (void)o; {body} }}")
            rows.append(f'    {{"{name}", "{what}", {expected(result, name, what, parameters)}, call_{len(rows)}}},')
    lines += ["static const null_call calls[] = {", *rows, "};", ""]
    pathlib.Path(output).write_text("\n".join(lines))
    pathlib.Path(dependencies).write_text(f"{output}: {' '.join(map(str, headers))}\n")


main(*sys.argv[1:])

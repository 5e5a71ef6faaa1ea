"""A released model file (weights/FORMAT.md) as the state of a model to train on: the converter's way back, for bfloat16 files."""
import importlib.util
import os
import re

import torch

HERE = os.path.dirname(os.path.abspath(__file__))
# Official name -> the file's, piece by piece, in this order.
PIECES = tuple((re.compile(pattern), name) for pattern, name in (
    (r"^backbone\.body\.patch_embed\.proj", "swin.patch"), (r"^backbone\.body\.patch_embed", "swin.patch"),
    (r"^backbone\.body\.layers\.(\d)\.blocks", r"swin.\1"), (r"^backbone\.body\.layers\.(\d)\.downsample", r"swin.\1.merge"),
    (r"^backbone\.body\.norm(\d)", r"swin.\1.norm"), (r"merge\.reduction", "merge"), (r"relative_position_bias_table", "bias_table"),
    (r"mlp\.fc1", "mlp.up"), (r"mlp\.fc2", "mlp.down"),
    (r"^backbone\.fpn\.top_blocks", "fpn"), (r"^backbone\.fpn\.fpn_inner(\d)", lambda m: "fpn.lateral.p%d" % (int(m[1]) + 1)),
    (r"^backbone\.fpn\.fpn_layer(\d)", lambda m: "fpn.output.p%d" % (int(m[1]) + 1)),
    (r"^language_backbone\.body\.model\.embeddings\.", "bert.embed."), (r"(word|position)_embeddings", r"\1"),
    (r"token_type_embeddings", "type"), (r"embed\.LayerNorm", "embed.norm"),
    (r"^language_backbone\.body\.model\.encoder\.layer", "bert"),
    (r"^rpn\.head\.dyhead_tower\.(\d+)", lambda m: "head.%d.%s" % (int(m[1]) // 3, ("fuse", "bert", "dyconv")[int(m[1]) % 3])),
    (r"attention\.self", "attn"), (r"attention\.output\.dense", "attn.output"), (r"attention\.output\.LayerNorm", "attn.norm"),
    (r"intermediate\.dense", "mlp.up"), (r"(\d)\.output\.dense", r"\1.mlp.down"), (r"bert\.output\.dense", "bert.mlp.down"),
    (r"(\d|bert)\.output\.LayerNorm", r"\1.mlp.norm"),
    (r"b_attn\.layer_norm", "norm"), (r"b_attn\.(attn\.)?", ""), (r"values_(.)_proj", r"values_\1"), (r"out_(.)_proj", r"out_\1"),
    (r"DyConv\.0", "coarse"), (r"DyConv\.1", "same"), (r"DyConv\.2", "fine"), (r"\.bn\.", ".norm."), (r"AttnConv\.1", "attn"),
    (r"relu\.fc\.0", "relu.down"), (r"relu\.fc\.2", "relu.up"),
    (r"^rpn\.head\.bbox_pred", "head.box"), (r"^rpn\.head\.centerness", "head.centerness"),
    (r"^rpn\.head\.dot_product_projection_text", "head.dot"), (r"^rpn\.head\.(log_scale|bias0|bias_lang)", r"head.dot.\1")))
SCALES = re.compile(r"^rpn\.head\.scales\.(\d)\.scale")
NOT_STORED = ("relative_position_index", "position_ids")


def file_name(name):
    for pattern, new in PIECES:
        name = pattern.sub(new, name)
    return name


def load(model, path, vocabulary):
    """Fills the model from the file. Words that the file does not know keep the rows they have."""
    spec = importlib.util.spec_from_file_location("gguf", os.path.join(HERE, "../reference/gguf.py"))
    gguf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(gguf)
    stored, state = gguf.read(path), model.state_dict()
    for name, x in state.items():
        if any(n in name for n in NOT_STORED):
            continue
        if m := SCALES.match(name):
            new = torch.tensor(stored["head.scale"])[int(m[1])].view(1)
        else:
            new = torch.tensor(stored[file_name(name)])
        if name.endswith("word_embeddings.weight"):
            rows = torch.tensor(stored["bert.embed.word.rows"], dtype=torch.long)
            unknown = rows.mode()[0]                       # the row that all words share which were not trained
            rows = rows[torch.tensor(vocabulary.official)]
            x[0] = new[unknown]
            x[1:] = torch.where((rows == unknown)[:, None], x[1:], new[rows])
        elif x.dim() == 4:
            out, inputs, h, w = x.shape
            x.copy_(new.view(out, h, w, inputs).permute(0, 3, 1, 2))
        else:
            x.copy_(new.view(x.shape))

"""The head's tensors of an official checkpoint under the names of a libglip weights file, in its layouts."""

FUSE = {"layer_norm_v": "norm_v", "layer_norm_l": "norm_l", "attn.v_proj": "v_proj", "attn.l_proj": "l_proj",
        "attn.values_v_proj": "values_v", "attn.values_l_proj": "values_l", "attn.out_v_proj": "out_v",
        "attn.out_l_proj": "out_l"}
BERT = {"attention.self.query": "attn.query", "attention.self.key": "attn.key", "attention.self.value": "attn.value",
        "attention.output.dense": "attn.output", "attention.output.LayerNorm": "attn.norm",
        "intermediate.dense": "mlp.up", "output.dense": "mlp.down", "output.LayerNorm": "mlp.norm"}
DYCONV = {"offset": "offset", "DyConv.0.conv": "coarse.conv", "DyConv.0.bn": "coarse.norm", "DyConv.1.conv": "same.conv",
          "DyConv.1.bn": "same.norm", "DyConv.2.conv": "fine.conv", "DyConv.2.bn": "fine.norm", "AttnConv.1": "attn",
          "relu.fc.0": "relu.down", "relu.fc.2": "relu.up"}
OUT = {"bbox_pred": "box", "centerness": "centerness", "dot_product_projection_text": "dot"}


def flat(a):
    """A convolution [out, in, h, w] as a matrix [out, h * w * in]."""
    return a.transpose(0, 2, 3, 1).reshape(len(a), -1) if a.ndim == 4 else a


def head_tensors(state, prefix="rpn.head."):
    """state: {official name: numpy array} -> {libglip name: numpy array}"""
    state = {name[len(prefix):]: a for name, a in state.items() if name.startswith(prefix)}
    tower = sorted({int(name.split(".")[1]) for name in state if name.startswith("dyhead_tower.")})
    fused = any("b_attn" in name for name in state)
    out = {}

    def take(source, target, names):
        for old, new in names.items():
            for leaf in ("weight", "bias"):
                out["%s%s.%s" % (target, new, leaf)] = flat(state["%s%s.%s" % (source, old, leaf)])

    for i in tower:
        layer, kind = (i // 3, i % 3) if fused else (i, 2)
        source, target = "dyhead_tower.%d." % i, "head.%d." % layer
        if kind == 0:
            take(source + "b_attn.", target + "fuse.", FUSE)
            for gamma in ("gamma_v", "gamma_l"):
                out[target + "fuse." + gamma] = state[source + "b_attn." + gamma]
        else:
            take(source, target + ("bert." if kind == 1 else "dyconv."), BERT if kind == 1 else DYCONV)
    take("", "head.", OUT)
    out["head.scale"] = sum((list(state["scales.%d.scale" % i]) for i in range(5)), [])
    out["head.dot.log_scale"], out["head.dot.bias_lang"], out["head.dot.bias0"] = (
        state[name] for name in ("log_scale", "bias_lang", "bias0"))
    return out

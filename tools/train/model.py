"""GLIP in PyTorch: Swin, FPN, BERT, and the head that fuses words and pixels layer by layer.

Modules carry the official checkpoints' tensor names, so `state_dict()` and an official file differ by the
prefix "module." alone. Shapes in comments: B images, T tokens, N positions of all levels, C channels.
"""
import math
from dataclasses import dataclass, field

import torch
import torch.nn as nn
import torch.nn.functional as F

from deform import deform_conv

STRIDES = (8, 16, 32, 64, 128)
# The original clamps the head's scores to +-50000, for half precision's sake. Trained weights stay orders of magnitude
# below, so the clamps are left out here.


@dataclass
class Config:
    """Every number that tells one GLIP from another. The defaults are the bundled model's."""
    swin_dim: int = 24
    swin_depths: tuple = (2, 2, 2, 2)
    swin_heads: tuple = (1, 2, 4, 8)
    swin_window: int = 6
    vocab: int = 30522
    positions: int = 512
    hidden: int = 64
    bert_layers: int = 2
    bert_heads: int = 4
    intermediate: int = 128
    channels: int = 64
    head_layers: int = 2
    fusion: bool = True
    fusion_dim: int = 128
    fusion_heads: int = 8
    groups: int = 16

    @staticmethod
    def from_manifest(hyper):
        """The configuration a reference manifest states."""
        s, b, h = hyper["swin"], hyper["bert"], hyper["head"]
        return Config(s["embed_dim"], tuple(s["depths"]), tuple(s["heads"]), s["window"], b["vocab"], 512, b["hidden"],
                      b["layers"], b["heads"], b["intermediate"], h["channels"], h["layers"], h["fusion"],
                      h["fusion_dim"], h["fusion_heads"], h["gn_groups"])


# ---------------------------------------------------------------------------------------------- Swin

def relative_index(window):
    """Row of the bias table for each (query, key) of a window: (w*w, w*w)."""
    c = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    d = c[:, :, None] - c[:, None, :] + window - 1
    return d[0] * (2 * window - 1) + d[1]


def windows(x, w):
    """(B, H, W, C) -> (B * H/w * W/w, w*w, C)"""
    B, H, W, C = x.shape
    return x.view(B, H // w, w, W // w, w, C).transpose(2, 3).reshape(-1, w * w, C)


def unwindows(x, w, B, H, W):
    """The inverse of windows()."""
    return x.view(B, H // w, W // w, w, w, -1).transpose(2, 3).reshape(B, H, W, -1)


def shift_mask(H, W, w):
    """-100 between positions of a shifted window that were not neighbours: (H/w * W/w, w*w, w*w)."""
    def regions(n):
        return torch.bucketize(torch.arange(n), torch.tensor([n - w, n - w // 2]), right=True)
    region = regions(H)[:, None] * 3 + regions(W)[None]
    m = windows(region[None, :, :, None], w)[..., 0]
    return (m[:, :, None] != m[:, None, :]).float() * -100.0


class WindowAttention(nn.Module):
    def __init__(self, dim, window, heads):
        super().__init__()
        self.heads = heads
        self.relative_position_bias_table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.register_buffer("relative_position_index", relative_index(window))
        self.qkv = nn.Linear(dim, 3 * dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x, mask):
        """x: (windows, n, C), n = w*w; mask: None or (windows of an image, n, n)"""
        M, n, C = x.shape
        q, k, v = self.qkv(x).view(M, n, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.relative_position_index.flatten()].view(n, n, -1).permute(2, 0, 1)[None]
        if mask is not None:
            bias = bias + mask[:, None]
        s = q * (q.shape[-1] ** -0.5) @ k.transpose(-2, -1)                # (windows, heads, n, n)
        s = (s.view(-1, len(bias), self.heads, n, n) + bias).view(M, self.heads, n, n)
        return self.proj((s.softmax(-1) @ v).transpose(1, 2).reshape(M, n, C))


class SwinBlock(nn.Module):
    def __init__(self, dim, window, heads, shifted):
        super().__init__()
        self.window, self.shift, self.masks = window, window // 2 if shifted else 0, {}
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, window, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(dim, 4 * dim), "fc2": nn.Linear(4 * dim, dim)})

    def forward(self, x):
        """(B, H, W, C) -> the same"""
        B, H, W, C = x.shape
        w, s = self.window, self.shift
        y = F.pad(self.norm1(x), (0, 0, 0, -W % w, 0, -H % w))     # after the norm: padded keys take part
        Hp, Wp = y.shape[1:3]
        mask = None
        if s:
            y = y.roll((-s, -s), (1, 2))
            if (Hp, Wp) not in self.masks:
                self.masks[Hp, Wp] = shift_mask(Hp, Wp, w)
            mask = self.masks[Hp, Wp]
        y = unwindows(self.attn(windows(y, w), mask), w, B, Hp, Wp)
        if s:
            y = y.roll((s, s), (1, 2))
        x = x + y[:, :H, :W]
        return x + self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))


class PatchMerging(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(4 * dim)
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)

    def forward(self, x):
        """(B, H, W, C) -> (B, H/2, W/2, 2C)"""
        x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        x = torch.cat([x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]], -1)
        return self.reduction(self.norm(x))


class Swin(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c.swin_dim
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, d, 4, 4), "norm": nn.LayerNorm(d)})
        self.layers = nn.ModuleList()
        for i, depth in enumerate(c.swin_depths):
            blocks = [SwinBlock(d << i, c.swin_window, c.swin_heads[i], j % 2 == 1) for j in range(depth)]
            layer = nn.ModuleDict({"blocks": nn.ModuleList(blocks)})
            if i + 1 < len(c.swin_depths):
                layer["downsample"] = PatchMerging(d << i)
            self.layers.append(layer)
        for i in (1, 2, 3):
            setattr(self, "norm%d" % i, nn.LayerNorm(d << i))

    def forward(self, image):
        """(B, 3, H, W) -> four maps (B, C_i, H_i, W_i); the first is raw, the others normalised"""
        x = self.patch_embed["norm"](self.patch_embed["proj"](image).permute(0, 2, 3, 1))
        out = []
        for i, layer in enumerate(self.layers):
            for block in layer["blocks"]:
                x = block(x)
            out.append((getattr(self, "norm%d" % i)(x) if i else x).permute(0, 3, 1, 2))
            if "downsample" in layer:
                x = layer["downsample"](x)
        return out


class FPN(nn.Module):
    def __init__(self, c):
        super().__init__()
        for i in (2, 3, 4):
            setattr(self, "fpn_inner%d" % i, nn.Conv2d(c.swin_dim << (i - 1), c.channels, 1))
            setattr(self, "fpn_layer%d" % i, nn.Conv2d(c.channels, c.channels, 3, padding=1))
        self.top_blocks = nn.ModuleDict({p: nn.Conv2d(c.channels, c.channels, 3, 2, 1) for p in ("p6", "p7")})

    def forward(self, stages):
        """Swin's last three maps -> P3..P7"""
        top, maps = None, []
        for i in (4, 3, 2):
            x = getattr(self, "fpn_inner%d" % i)(stages[i - 1])
            top = x if top is None else x + F.interpolate(top, size=x.shape[-2:], mode="nearest")
            maps.insert(0, getattr(self, "fpn_layer%d" % i)(top))
        p6 = self.top_blocks["p6"](maps[-1])
        return maps + [p6, self.top_blocks["p7"](F.relu(p6))]


# ---------------------------------------------------------------------------------------------- BERT

def dense_norm(i, o):
    return nn.ModuleDict({"dense": nn.Linear(i, o), "LayerNorm": nn.LayerNorm(o, eps=1e-12)})


class BertLayer(nn.Module):
    """A post-LayerNorm transformer layer, of the text encoder and of the head alike."""

    def __init__(self, c):
        super().__init__()
        h = c.hidden
        self.heads = c.bert_heads
        self.attention = nn.ModuleDict({
            "self": nn.ModuleDict({n: nn.Linear(h, h) for n in ("query", "key", "value")}),
            "output": dense_norm(h, h)})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(h, c.intermediate)})
        self.output = dense_norm(c.intermediate, h)

    def forward(self, x, mask):
        """x: (B, T, hidden), mask: (B, T) true where a token is"""
        B, T, h = x.shape
        q, k, v = (self.attention["self"][n](x).view(B, T, self.heads, -1).transpose(1, 2)
                   for n in ("query", "key", "value"))
        s = (q * q.shape[-1] ** -0.5 @ k.transpose(-2, -1)).masked_fill(~mask[:, None, None], -math.inf)
        y = (s.softmax(-1) @ v).transpose(1, 2).reshape(B, T, h)
        a = self.attention["output"]
        x = a["LayerNorm"](a["dense"](y) + x)
        y = self.output["dense"](F.gelu(self.intermediate["dense"](x)))
        return self.output["LayerNorm"](y + x)


class Bert(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.embeddings = nn.ModuleDict({
            "word_embeddings": nn.Embedding(c.vocab, c.hidden),
            "position_embeddings": nn.Embedding(c.positions, c.hidden),
            "token_type_embeddings": nn.Embedding(2, c.hidden),
            "LayerNorm": nn.LayerNorm(c.hidden, eps=1e-12)})
        self.embeddings.register_buffer("position_ids", torch.arange(c.positions)[None])
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(BertLayer(c) for _ in range(c.bert_layers))})

    def forward(self, ids, mask):
        """ids, mask: (B, T) -> (B, T, hidden)"""
        e = self.embeddings
        x = e["word_embeddings"](ids) + e["position_embeddings"].weight[:ids.shape[1]] + e["token_type_embeddings"].weight[0]
        x = e["LayerNorm"](x)
        for layer in self.encoder["layer"]:
            x = layer(x, mask)
        return x


# ---------------------------------------------------------------------------------------------- head

class Fusion(nn.Module):
    """Attention between all positions and all tokens, both ways from one score matrix."""

    def __init__(self, c):
        super().__init__()
        self.heads = c.fusion_heads
        b = nn.Module()
        b.gamma_v = nn.Parameter(torch.full((c.channels,), 0.125))
        b.gamma_l = nn.Parameter(torch.full((c.hidden,), 0.05))
        b.layer_norm_v = nn.LayerNorm(c.channels)
        b.layer_norm_l = nn.LayerNorm(c.hidden)
        d = c.fusion_dim
        b.attn = nn.ModuleDict({
            "v_proj": nn.Linear(c.channels, d), "l_proj": nn.Linear(c.hidden, d),
            "values_v_proj": nn.Linear(c.channels, d), "values_l_proj": nn.Linear(c.hidden, d),
            "out_v_proj": nn.Linear(d, c.channels), "out_l_proj": nn.Linear(d, c.hidden)})
        self.b_attn = b

    def forward(self, maps, text, mask):
        """maps: five (B, C, H, W); text: (B, T, hidden) -> both fused"""
        b, a = self.b_attn, self.b_attn.attn
        v = b.layer_norm_v(torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2))        # (B, N, C)
        l = b.layer_norm_l(text)

        def heads(x):
            return x.view(*x.shape[:2], self.heads, -1).transpose(1, 2)
        q, k = heads(a["v_proj"](v)), heads(a["l_proj"](l))
        values_v, values_l = heads(a["values_v_proj"](v)), heads(a["values_l_proj"](l))
        s = k @ (q * q.shape[-1] ** -0.5).transpose(-2, -1)                                   # (B, heads, T, N)
        absent = torch.zeros(mask.shape).masked_fill_(~mask, -math.inf)[:, None, :, None]
        to_v = (s + absent).softmax(-2).transpose(-2, -1) @ values_l
        to_l = s.softmax(-1) @ values_v

        def join(x):
            return x.transpose(1, 2).flatten(2)
        v = (v + b.gamma_v * a["out_v_proj"](join(to_v))).transpose(1, 2)    # the residual is the normalised input
        l = l + b.gamma_l * a["out_l_proj"](join(to_l))
        sizes = [m.shape[-2] * m.shape[-1] for m in maps]
        return [p.reshape(m.shape) for p, m in zip(v.split(sizes, 2), maps)], l


def h_sigmoid(x):
    return F.relu6(x + 3) / 6


class DyConv(nn.Module):
    """The dynamic head's image layer: deformable convolutions across neighbouring levels."""

    def __init__(self, c):
        super().__init__()
        C = c.channels
        self.DyConv = nn.ModuleList(
            nn.ModuleDict({"conv": nn.Conv2d(C, C, 3), "bn": nn.GroupNorm(c.groups, C)}) for _ in range(3))
        self.AttnConv = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(C, 1, 1), nn.ReLU())
        self.relu = nn.ModuleDict({"fc": nn.Sequential(nn.Linear(C, C // 4), nn.ReLU(), nn.Linear(C // 4, 4 * C))})
        self.offset = nn.Conv2d(C, 27, 3, padding=1)

    def branch(self, i, x, offset, modulation, stride=1):
        m = self.DyConv[i]
        return m["bn"](deform_conv(x, offset, modulation, m["conv"].weight, m["conv"].bias, stride))

    def dynamic_relu(self, x):
        a1, b1, a2, b2 = h_sigmoid(self.relu["fc"](x.mean((2, 3))))[..., None, None].chunk(4, 1)
        return torch.max(x * (2 * a1) + (b1 - 0.5), x * (2 * a2 - 1) + (b2 - 0.5))

    def forward(self, maps):
        out = []
        for l, x in enumerate(maps):
            om = self.offset(x)
            offset, modulation = om[:, :18], om[:, 18:].sigmoid()
            branches = [self.branch(1, x, offset, modulation)]
            if l > 0:
                branches.append(self.branch(2, maps[l - 1], offset, modulation, 2))
            if l + 1 < len(maps):
                # The original reads level l's offset buffer with the strides of the smaller output.
                h, w = maps[l + 1].shape[-2:]
                o = offset.flatten(1)[:, :18 * h * w].view(-1, 18, h, w)
                m = modulation.flatten(1)[:, :9 * h * w].view(-1, 9, h, w)
                up = self.branch(0, maps[l + 1], o, m)
                branches.append(F.interpolate(up, size=x.shape[-2:], mode="bilinear", align_corners=True))
            y = sum(b * h_sigmoid(self.AttnConv(b)) for b in branches) / len(branches)
            out.append(self.dynamic_relu(y))
        return out


class Scale(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))


class Head(nn.Module):
    def __init__(self, c):
        super().__init__()
        C = c.channels
        tower = []
        for _ in range(c.head_layers):
            tower += [Fusion(c), BertLayer(c), DyConv(c)] if c.fusion else [DyConv(c)]
        self.dyhead_tower = nn.ModuleList(tower)
        self.bbox_pred = nn.Conv2d(C, 4, 1)
        self.centerness = nn.Conv2d(C, 1, 1)
        self.scales = nn.ModuleList(Scale() for _ in STRIDES)
        self.dot_product_projection_text = nn.Linear(c.hidden, C)
        self.log_scale = nn.Parameter(torch.zeros(1))
        self.bias_lang = nn.Parameter(torch.zeros(c.hidden))
        self.bias0 = nn.Parameter(torch.full((1,), -4.6))

    def forward(self, maps, text, mask, trace=None):
        """-> logits (B, N, T), boxes as deltas (B, N, 4), centerness (B, N)"""
        for i, layer in enumerate(self.dyhead_tower):
            if isinstance(layer, Fusion):
                maps, text = layer(maps, text, mask)
            elif isinstance(layer, BertLayer):
                text = layer(text, mask)
            else:
                maps = layer(maps)
            if trace is not None:
                trace.append((maps, text))
        e = F.normalize(text, dim=-1, eps=1e-12)
        token = self.dot_product_projection_text(e / 2)                                       # (B, T, C)
        bias = e @ self.bias_lang + self.bias0                                                # (B, T)
        flat = torch.cat([m.flatten(2) for m in maps], 2).transpose(1, 2)                     # (B, N, C)
        logits = flat @ (token / self.log_scale.exp()).transpose(1, 2) + bias[:, None]
        boxes = [s.scale * self.bbox_pred(m) for s, m in zip(self.scales, maps)]
        boxes = torch.cat([b.flatten(2) for b in boxes], 2).transpose(1, 2)
        centre = torch.cat([self.centerness(m).flatten(2) for m in maps], 2)[:, 0]
        return logits, boxes, centre


class Glip(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.config = c
        self.backbone = nn.ModuleDict({"body": Swin(c), "fpn": FPN(c)})
        self.language_backbone = nn.ModuleDict({"body": nn.ModuleDict({"model": Bert(c)})})
        self.rpn = nn.ModuleDict({"head": Head(c)})

    def forward(self, image, ids, mask, trace=None):
        """image: (B, 3, H, W) normalised BGR, H and W multiples of 32; ids, mask: (B, T).

        Returns logits (B, N, T), box deltas (B, N, 4), centerness (B, N), level sizes [(H, W)] * 5.
        """
        stages = self.backbone["body"](image)
        maps = self.backbone["fpn"](stages)
        text = self.language_backbone["body"]["model"](ids, mask)
        if trace is not None:
            trace.update(stages=stages, maps=maps, text=text, tower=[])
        out = self.rpn["head"](maps, text, mask, None if trace is None else trace["tower"])
        return (*out, [m.shape[-2:] for m in maps])


def waves(positions, width, std=0.15):
    """Sines of many periods, mixed: (positions, width). Strong enough beside the words that their order can be read."""
    at = torch.arange(positions, dtype=torch.float32)[:, None] * torch.exp(torch.linspace(math.log(0.08), math.log(2.0), width // 2))
    mixing, _ = torch.linalg.qr(torch.randn(width, width))
    return std * math.sqrt(2) * torch.cat([at.sin(), at.cos()], 1) @ mixing


def initialise(model):
    """Weights to train from. With the usual ones all tokens end up alike and words are never learned."""
    for name, p in model.named_parameters():
        if "gamma_v" in name:
            nn.init.constant_(p, 0.25)                # relations need the text to reach the image's features
        if p.dim() < 2:
            continue                                  # norms, biases and scalars have their values already
        if "position_embeddings" in name:
            p.data.copy_(waves(*p.shape))
        elif "relative_position_bias_table" in name or "token_type" in name:
            nn.init.normal_(p, std=0.02)
        elif "word_embeddings" in name:
            nn.init.normal_(p, std=0.4)
        elif "offset" in name:
            nn.init.zeros_(p)
        elif "backbone.body" in name and "language" not in name or "language_backbone" in name:
            nn.init.trunc_normal_(p, std=min(0.1, p[0].numel() ** -0.5))
        elif "bbox_pred" in name or "centerness" in name:
            nn.init.normal_(p, std=0.01)
        else:
            nn.init.xavier_uniform_(p, gain=3.0 if "dot_product" in name else 1.0)
        if "output.dense" in name:                    # text layers start near the identity
            p.data.mul_(0.1)
    for m in model.modules():
        if isinstance(m, (nn.Linear, nn.Conv2d)) and m.bias is not None:
            nn.init.zeros_(m.bias)

#!/usr/bin/env python3
"""Writes tests/fixtures/families: small random transformers as Hugging Face saves them, and what
they compute.

Each folder holds config.json and model.safetensors (or its shards) from save_pretrained, and
expected.safetensors: "ids" int64 [2, tokens], and float32 arrays by name. Names with a module path
are that module's output, taken by a forward hook; names of TransformerLens (blocks.0.attn.hook_q)
are taken beside it, from the modules' inputs and outputs.

Made with torch 2.13.0, transformers 5.24.0, safetensors 0.8.0. Usage: python3 oracles/families.py
[FOLDER]
"""

import os
import shutil
import sys

import torch
import transformers as tf
from safetensors.torch import save_file

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "tests", "fixtures", "families")
TOKENS = 5
common = dict(vocab_size=53, bos_token_id=0, eos_token_id=0, pad_token_id=None)
small = dict(common, hidden_size=16, num_hidden_layers=2, num_attention_heads=4,
             max_position_embeddings=32)


def gpt2(**more):
    return tf.GPT2Config(n_embd=16, n_layer=2, n_head=4, n_positions=32, attn_pdrop=0, embd_pdrop=0,
                         resid_pdrop=0, **common, **more)


def neox(**more):
    return tf.GPTNeoXConfig(**dict(small, hidden_size=24, num_attention_heads=3, intermediate_size=32), **more)


def llama(kind=tf.LlamaConfig, **more):
    settings = dict(small, intermediate_size=40, num_key_value_heads=2)
    return kind(**{**settings, **more})


def bert(**more):
    return tf.BertConfig(**dict(small, intermediate_size=40, type_vocab_size=2,
                                hidden_dropout_prob=0, attention_probs_dropout_prob=0,
                                pad_token_id=0), **more)


scaled = dict(rope_type="llama3", rope_theta=500.0, factor=4.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=16)
MODELS = {
    "gpt2": (tf.GPT2LMHeadModel, gpt2(), {}),
    "gpt2_bare": (tf.GPT2Model, gpt2(scale_attn_by_inverse_layer_idx=True, n_inner=24,
                                     activation_function="relu"), {}),
    "neox": (tf.GPTNeoXForCausalLM, neox(), {}),
    "neox_serial": (tf.GPTNeoXForCausalLM, neox(use_parallel_residual=False, rotary_pct=1.0), {}),
    "llama": (tf.LlamaForCausalLM, llama(), dict(max_shard_size="16KB")),
    "llama_scaled": (tf.LlamaForCausalLM,
                     llama(rope_parameters=scaled, attention_bias=True, mlp_bias=True,
                           tie_word_embeddings=True), dict(dtype=torch.float16)),
    "qwen2": (tf.Qwen2ForCausalLM, llama(tf.Qwen2Config, tie_word_embeddings=True), {}),
    "qwen3": (tf.Qwen3ForCausalLM, llama(tf.Qwen3Config, head_dim=6), dict(dtype=torch.bfloat16)),
    "bert": (tf.BertForMaskedLM, bert(), {}),
    "bert_pooled": (tf.BertModel, bert(hidden_act="gelu_new"), {}),
    "bert_classifier": (tf.BertForSequenceClassification, bert(num_labels=3), {}),
}


def randomise(model):
    """Weights large enough that every layer shapes the output."""
    for name, p in model.named_parameters():
        norm = "norm" in name.lower() or ".ln_" in name
        spread = 0.3 if p.dim() == 1 else 0.7 / p.shape[-1] ** 0.5 * (4 if "emb" in name else 1)
        with torch.no_grad():
            p.normal_(0, spread).add_(1.0 if norm and name.endswith("weight") else 0.0)


class Watch:
    """Outputs (and some inputs) of modules while a model runs."""

    def __init__(self, model, prefix):
        self.values = {}
        for path, module in model.named_modules():
            if path and not isinstance(module, (torch.nn.ModuleList, torch.nn.Dropout)):
                module.register_forward_hook(self.output(prefix + path))

    def output(self, name):
        def hook(module, inputs, output):
            out = output[0] if isinstance(output, tuple) else output
            if not torch.is_tensor(out):
                return
            self.values[name] = out.detach().clone()
            if inputs and torch.is_tensor(inputs[0]):
                self.values["in:" + name] = inputs[0].detach().clone()
        return hook


def prefix_of(model):
    bases = {tf.GPT2Model: "transformer.", tf.BertModel: "bert."}
    return bases.get(type(model), "")


def lens_names(config, seen, attentions):
    """TransformerLens' names from what the modules saw."""
    out = {}
    heads = config.num_attention_heads
    for i, pattern in enumerate(attentions):
        block = f"blocks.{i}."
        out[block + "attn.hook_pattern"] = pattern
        if config.model_type == "gpt2":
            layer = f"transformer.h.{i}."
            parts = seen[layer + "attn.c_attn"].chunk(3, -1)
            q, k, v = (p.unflatten(-1, (heads, -1)) for p in parts)
            z, mid, pre = layer + "attn.c_proj", layer + "ln_2", layer + "ln_1"
        elif config.model_type == "gpt_neox":
            layer = f"gpt_neox.layers.{i}."
            joint = seen[layer + "attention.query_key_value"].unflatten(-1, (heads, 3, -1))
            q, k, v = joint.unbind(-2)
            z, mid, pre = (layer + "attention.dense", layer + "post_attention_layernorm",
                           layer + "input_layernorm")
        elif config.model_type == "bert":
            layer = f"bert.encoder.layer.{i}."
            q, k, v = (seen[layer + "attention.self." + n].unflatten(-1, (heads, -1))
                       for n in ("query", "key", "value"))
            z, mid, pre = (layer + "attention.output.dense", layer + "attention.output.LayerNorm",
                           layer + "attention.self.query")
            out[block + "hook_resid_post"] = seen["in:" + layer + "output.LayerNorm"]
        else:
            layer = f"model.layers.{i}."
            q, k, v = (seen[layer + f"self_attn.{n}_proj"].unflatten(
                -1, (heads if n == "q" else config.num_key_value_heads, -1)) for n in "qkv")
            z, mid, pre = (layer + "self_attn.o_proj", layer + "post_attention_layernorm",
                           layer + "input_layernorm")
            out[block + "mlp.hook_pre"] = seen[layer + "mlp.gate_proj"]
            out[block + "mlp.hook_pre_linear"] = seen[layer + "mlp.up_proj"]
            out[block + "mlp.hook_post"] = seen["in:" + layer + "mlp.down_proj"]
            for n, norm in ((1, "input_layernorm"), (2, "post_attention_layernorm")):
                x = seen["in:" + layer + norm]
                out[block + f"ln{n}.hook_normalized"] = x * torch.rsqrt(
                    x.pow(2).mean(-1, keepdim=True) + config.rms_norm_eps)
        out[block + "attn.hook_q"], out[block + "attn.hook_k"] = q, k
        out[block + "attn.hook_v"] = v
        out[block + "attn.hook_z"] = seen["in:" + z].unflatten(-1, (heads, -1))
        out[block + "hook_resid_pre"] = seen["in:" + pre]
        if not (config.model_type == "gpt_neox" and config.use_parallel_residual):
            out[block + "hook_resid_mid"] = seen["in:" + mid]
    return out


# Modules whose output is a part of what a site holds, or is computed differently on purpose.
SKIP = ("attn.c_attn", "attention.query_key_value", "rotary_emb", "q_proj", "k_proj", "v_proj",
        "attention.self", "wpe", "position_embeddings", "token_type_embeddings",
        "embeddings.LayerNorm", "lm_head", "embed_out", ".LayerNorm", "transform_act_fn", 
        "cls.predictions.decoder", "intermediate_act_fn", "pooler.activation", "final_layernorm")


def make(name, kind, config, saving):
    folder = os.path.join(OUT, name)
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(sum(map(ord, name)))
    saving = dict(saving)
    dtype = saving.pop("dtype", torch.float32)
    config._attn_implementation = "eager"
    model = kind(config).eval()
    randomise(model)
    model.to(dtype).save_pretrained(folder, **saving)
    model = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
    ids = torch.randint(0, config.vocab_size, (2, TOKENS))
    watch = Watch(model, prefix_of(model))
    with torch.no_grad():
        result = model(ids, output_attentions=True)
    seen = watch.values
    expected = {"ids": ids}
    for path, value in seen.items():
        if not path.startswith("in:") and not any(path.endswith(s) or s + "." in path
                                                  for s in SKIP):
            expected[path] = value
    expected.update(lens_names(config, seen, result.attentions))
    if "logits" in result:
        expected["logits"] = result.logits
    for extra in ("generation_config.json",):
        if os.path.exists(os.path.join(folder, extra)):
            os.remove(os.path.join(folder, extra))
    whole = {"bert.encoder", "bert", "transformer", "gpt_neox", "model", "cls", "cls.predictions"}
    expected = {k: v.contiguous() if k == "ids" else v.float().contiguous()
                for k, v in expected.items() if k not in whole}
    save_file({k: v.clone() for k, v in expected.items()},
              os.path.join(folder, "expected.safetensors"))
    sizes = {f: os.path.getsize(os.path.join(folder, f)) for f in sorted(os.listdir(folder))}
    print(name, len(expected), sizes)


for name, (kind, config, saving) in MODELS.items():
    make(name, kind, config, saving)

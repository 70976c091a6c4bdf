"""Exchanges counted in texts as the compilers write them."""

from scaling_jax.aot.collectives import Collective, collectives

TPU = """\
HloModule jit_steps, is_scheduled=true

%add.8 (x: f32[], y: f32[]) -> f32[] {
  %x = f32[] parameter(0)
  ROOT %add = f32[] add(%x, %y)
}

%all-reduce-scatter.1 (input.2: f32[2048,1024]) -> f32[512,1024] {
  %input.2 = f32[2048,1024]{1,0:T(8,128)} parameter(0)
  %all-reduce.54 = f32[2048,1024]{1,0:T(8,128)} all-reduce(%input.2), channel_id=19, \
replica_groups={{0,1,2,3}}, to_apply=%add.8
  ROOT %dynamic-slice.153 = f32[512,1024]{1,0} dynamic-slice(%all-reduce.54, %a, %b)
}

%body.1 (p: (s32[], bf16[2048,64])) -> (s32[], bf16[2048,64]) {
  %all-reduce.58 = f32[2048]{0:T(1024)S(1)} all-reduce(%fusion.324), channel_id=1, \
replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, to_apply=%add.8, metadata={op_name="x"}
  %all-reduce.65 = (bf16[2048,1024]{1,0:T(8,128)(2,1)S(1)}, bf16[2048,1024]{1,0}) \
all-reduce(%fusion.369, %fusion.370), replica_groups=[2,2]<=[4], to_apply=%add.8
  ROOT %tuple = (s32[], bf16[2048,64]) tuple(%a, %b)
}

%condition.1 (p: (s32[], bf16[2048,64])) -> pred[] {
  %constant.678 = s32[]{:T(128)} constant(3)
  %get = s32[]{:T(128)} get-tuple-element(%p), index=0
  ROOT %lt.117 = pred[]{:T(512)} compare(%get, %constant.678), direction=LT
}

%steps (p: (s32[], s32[])) -> (s32[], s32[]) {
  %while.244 = (s32[], bf16[2048,64]{0,1}) while(%t), condition=%condition.1, body=%body.1, m={}
  %fusion.304 = f32[512,1024]{1,0:T(8,128)S(1)} fusion(%f), kind=kCustom, \
calls=%all-reduce-scatter.1
  %all-gather.34 = bf16[2048,1024]{1,0:T(8,128)(2,1)S(1)} all-gather(%m), channel_id=20, \
replica_groups=mesh['axis_0'=4,'axis_1'=1] {'axis_0'}, dimensions={0}
  ROOT %tuple.2 = (s32[], s32[]) tuple(%a, %b)
}

%more (p: (s32[], s32[])) -> pred[] {
  %bound = s32[]{:T(128)} get-tuple-element(%p), index=1
  ROOT %lt.119 = pred[]{:T(512)} compare(%get, %bound), direction=LT
}

ENTRY %main.9 (p0: s32[]) -> s32[] {
  %while.243 = (s32[], s32[]) while(%t), condition=%more, body=%steps
  %permute = f32[100]{0} collective-permute(%x), source_target_pairs={{0,1},{1,0}}
  ROOT %done = s32[] get-tuple-element(%while.243), index=0
}
"""


def test_a_step_of_a_tpu_program() -> None:
    found = {(one.kind, one.group_size): one for one in collectives(TPU, 4)}
    # Three layers; the loop over steps has no constant bound and counts once.
    assert found["all-reduce", 4] == Collective("all-reduce", 4, 3, 3 * 8192, 3 * 2 * 6144)
    tuples = 3 * 2 * 2048 * 1024 * 2
    assert found["all-reduce", 2] == Collective("all-reduce", 2, 3, tuples, tuples)
    # The fused all-reduce of which each chip keeps a quarter sends half of an all-reduce.
    whole = 2048 * 1024 * 4
    assert found["reduce-scatter", 4] == Collective("reduce-scatter", 4, 1, whole, whole * 3 // 4)
    gathered = 2048 * 1024 * 2
    assert found["all-gather", 4] == Collective("all-gather", 4, 1, gathered, gathered * 3 // 4)
    assert found["collective-permute", 4].sent_bytes == 400
    assert len(found) == 5


GPU = """\
HloModule jit_steps

%body (p: (s32[], f32[8])) -> (s32[], f32[8]) {
  %all-gather-start = (f32[16,8]{1,0}, f32[64,8]{1,0}) all-gather-start(%x), \
replica_groups={{0,1,2,3},{4,5,6,7}}, dimensions={0}
  %all-gather-done = f32[64,8]{1,0} all-gather-done(%all-gather-start)
  %scatter = f32[8,8]{1,0} reduce-scatter(%y), replica_groups=[1,8]<=[8], to_apply=%add
}

%cond (p: (s32[], f32[8])) -> pred[] {
  ROOT %r = pred[] get-tuple-element(%p), index=1
}

ENTRY %main (p0: s32[]) -> s32[] {
  %w = (s32[], f32[8]) while(%t), condition=%cond, body=%body, \
backend_config={"known_trip_count":{"n":"12"},"known_init_step":{"init":"0","step":"1"}}
  %sum = f32[5]{0} all-reduce(%z), replica_groups={}, to_apply=%add
}
"""


def test_a_step_of_a_gpu_program() -> None:
    found = {one.kind: one for one in collectives(GPU, 8)}
    assert found["all-gather"] == Collective("all-gather", 4, 12, 12 * 2048, 12 * 1536)
    assert found["reduce-scatter"] == Collective("reduce-scatter", 8, 12, 12 * 2048, 12 * 1792)
    assert found["all-reduce"] == Collective("all-reduce", 8, 1, 20, 2 * 17)


COMBINED = """\
HloModule jit_steps

ENTRY %main (p0: s32[]) -> s32[] {
  %reduce-scatter-start = ((f32[256,256]{1,0}, f32[256,1024]{1,0}), (f32[64,256]{1,0}, \
f32[64,1024]{1,0})) reduce-scatter-start(%a, %b), replica_groups=[1,4]<=[4], to_apply=%add
  %all-gather-start.1 = ((bf16[64,768]{1,0}, bf16[64,256]{1,0}), (bf16[256,768]{1,0}, \
bf16[256,256]{1,0})) all-gather-start(%c, %d), replica_groups=[1,4]<=[4], dimensions={0}
  %all-reduce-start = (f32[100]{0}, f32[]) all-reduce-start(%e, %f), replica_groups=[1,4]<=[4], \
to_apply=%add
  %permute-start = (bf16[512,8]{1,0:T(8,128)(2,1)}, bf16[512,8]{1,0:T(8,128)(2,1)}, u32[]{:S(2)}, \
u32[]{:S(2)}) collective-permute-start(%g), source_target_pairs={{0,1},{1,0}}
}
"""


def test_what_is_sent_in_one_go_is_all_counted() -> None:
    found = {one.kind: one.bytes for one in collectives(COMBINED, 4)}
    assert found == {
        "reduce-scatter": 4 * 256 * (256 + 1024),
        "all-gather": 2 * 256 * (768 + 256),
        "all-reduce": 4 * 101,
        "collective-permute": 2 * 512 * 8,
    }


def test_one_device_exchanges_nothing() -> None:
    assert collectives("ENTRY %main (p0: s32[]) -> s32[] {\n  %a = s32[] add(%p0, %p0)\n}", 1) == []


CHAIN = """\
HloModule jit_steps, is_scheduled=true

%begun (p: bf16[128,32]) -> (bf16[128,32], bf16[128,128]) {
  %all-gather.1 = bf16[128,128]{0,1:T(8,128)(2,1)} all-gather(%p), channel_id=5, \
replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, frontend_attributes={chain_id="0"}
  ROOT %custom-call.1 = (bf16[128,32], bf16[128,128]) custom-call(%all-gather.1), \
custom_call_target="AsyncCollectiveStart"
}

%async_collective_fusion.1 (p: bf16[128,32]) -> (f32[256]{0}, bf16[128,128]) {
  %all-gather.2 = bf16[128,128]{0,1:T(8,128)(2,1)} all-gather(%p), channel_id=5, \
replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, frontend_attributes={chain_id="0"}
  ROOT %tuple.1 = (f32[256]{0}, bf16[128,128]) tuple(%a, %b)
}

%ended (p: bf16[128,32]) -> bf16[128,128] {
  %all-gather.3 = bf16[128,128]{0,1:T(8,128)(2,1)} all-gather(%p), channel_id=5, \
replica_groups=mesh['axis_0'=1,'axis_1'=4] {'axis_1'}, frontend_attributes={chain_id="0"}
  ROOT %custom-call.2 = bf16[128,128] custom-call(%p, %all-gather.3), \
custom_call_target="AsyncCollectiveDone"
}

ENTRY %main (p0: bf16[128,32]) -> bf16[128,128] {
  %async-collective-start = (bf16[128,32], bf16[128,128]) fusion(%p0), kind=kCustom, calls=%begun
  %fusion.1 = (f32[256]{0}, bf16[128,128]) fusion(%p0), kind=kOutput, \
calls=%async_collective_fusion.1
  %async-collective-done = bf16[128,128] fusion(%fusion.1), kind=kCustom, calls=%ended
  %all-gather.9 = bf16[128,128]{0,1} all-gather(%p0), channel_id=6, replica_groups=[1,4]<=[4]
  ROOT %done = bf16[128,128] add(%async-collective-done, %all-gather.9)
}
"""


def test_an_exchange_that_is_fused_with_computations_counts_once() -> None:
    (found,) = collectives(CHAIN, 4)
    one = 2 * 128 * 128
    # Two exchanges, of which the one that is split into steps overlaps a computation.
    assert found == Collective("all-gather", 4, 2, 2 * one, 2 * one * 3 // 4, one * 3 // 4)


PAIRS = """\
HloModule jit_steps, is_scheduled=true

ENTRY %main (p0: f32[16,8]) -> f32[64,8] {
  %all-gather-start = (f32[16,8]{1,0}, f32[64,8]{1,0}) all-gather-start(%p0), \
replica_groups=[1,4]<=[4], dimensions={0}, backend_config={"is_sync":SYNC}
  BETWEEN
  %all-gather-done = f32[64,8]{1,0} all-gather-done(%all-gather-start)
  ROOT %dot.2 = f32[64,8]{1,0} dot(%all-gather-done, %p0)
}
"""


def test_an_exchange_overlaps_what_is_computed_between_its_start_and_its_end() -> None:
    compute, other = "%dot = f32[16,8]{1,0} dot(%p0, %p0)", "%bitcast = f32[128] bitcast(%p0)"
    for between, sync, hidden in (
        (compute, "false", True),
        (other, "false", False),
        (compute, "true", False),
    ):
        text = PAIRS.replace("BETWEEN", between).replace("SYNC", sync)
        (found,) = collectives(text, 4)
        assert found.overlapped_bytes == (found.sent_bytes if hidden else 0)

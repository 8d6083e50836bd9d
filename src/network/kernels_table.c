/** \file kernels_table.c  The table of one instruction set's kernels.  \ingroup network */
#include "kernels.h"
#include "simd.h"

#define TEXT(isa) #isa
#define TEXT_OF(isa) TEXT(isa)

const NetworkKernels NETWORK_KERNEL(kernels) = {
    .name = TEXT_OF(NEPHRITE_ISA),
    .panel = 2 * LANES,
    .strip = TILE_ROWS,
    .multiply = NETWORK_KERNEL(multiply),
    .pack = NETWORK_KERNEL(pack),
    .pack_strips = NETWORK_KERNEL(pack_strips),
    .norm_forward = NETWORK_KERNEL(norm_forward),
    .norm_backward = NETWORK_KERNEL(norm_backward),
    .gate_forward = NETWORK_KERNEL(gate_forward),
    .gate_backward = NETWORK_KERNEL(gate_backward),
    .swiglu_forward = NETWORK_KERNEL(swiglu_forward),
    .swiglu_backward = NETWORK_KERNEL(swiglu_backward),
    .bias_forward = NETWORK_KERNEL(bias_forward),
    .row_products = NETWORK_KERNEL(row_products),
    .rotary_forward = NETWORK_KERNEL(rotary_forward),
    .rotary_backward = NETWORK_KERNEL(rotary_backward),
    .softmax_forward = NETWORK_KERNEL(softmax_forward),
    .softmax_again = NETWORK_KERNEL(softmax_again),
    .softmax_backward = NETWORK_KERNEL(softmax_backward),
    .column_sum = NETWORK_KERNEL(column_sum),
    .scale = NETWORK_KERNEL(scale),
    .round_bfloat16 = NETWORK_KERNEL(round_bfloat16),
};

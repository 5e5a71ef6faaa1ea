/* The entries of a struct kernels for the functions of gemm_impl.h and rows_impl.h. */
#define TABLE_ENTRIES \
	.mr = MR, .nr = NR, .gemm_tile = gemm_tile, .pack_columns = pack_columns, .pack_rows = pack_rows, \
	.transpose = transpose, .dot_rows = dot_rows, .sample = sample, .finish = finish, .layer_norm = layer_norm, \
	.softmax = softmax, .column_max = column_max, .column_exp = column_exp, .column_sums = column_sums, .add = add, \
	.lerp = lerp, .clamp = clamp, .relu = relu, .sigmoid = sigmoid, .dyrelu_row = dyrelu_row

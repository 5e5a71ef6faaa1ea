/* Elementary functions on vectors, included after a vec_<instruction set>.h. The polynomials are minimax fits. */

INLINE vec load_part(const float *p, size_t n)
{
	return n >= V ? v_load(p) : v_load_n(p, n);
}

INLINE void store_part(float *p, vec x, size_t n)
{
	if (n >= V)
		v_store(p, x);
	else
		v_store_n(p, x, n);
}

/* AVX-512 masks for nothing, so it needs no case for full vectors. */
INLINE vec load_lanes(const float *p, size_t n)
{
	return V == 16 ? v_load_n(p, n) : load_part(p, n);
}

INLINE void store_lanes(float *p, vec x, size_t n)
{
	if (V == 16)
		v_store_n(p, x, n);
	else
		store_part(p, x, n);
}

/* Vectors whose functions are computed together: a step of one alone would wait for the step before. */
enum { TOGETHER = 4 };

/* p = p x + coefficient, term by term; count and terms are constants. */
INLINE void horner(int count, vec *p, const vec *x, const float *coefficient, int terms)
{
	UNROLL
	for (int term = 0; term < terms; term++) {
		UNROLL
		for (int i = 0; i < count; i++)
			p[i] = v_fma(p[i], x[i], v_set1(coefficient[term]));
	}
}

/* exp(x) / 2^n, relative error below 1.5e-7, for the whole number n next to x / ln 2. */
INLINE void exp_mantissa(int count, vec *x, const vec *n)
{
	static const float coefficient[4] = {8.368745496e-03F, 4.166839081e-02F, 1.666652040e-01F, 4.999999343e-01F};
	vec p[TOGETHER];
	/* x - n ln 2, ln 2 in two parts: the first has few enough bits for n times it to be exact. */
	UNROLL
	for (int i = 0; i < count; i++)
		x[i] = v_fma(n[i], v_set1(2.12194440e-4F), v_fma(n[i], v_set1(-0.693359375F), x[i]));
	UNROLL
	for (int i = 0; i < count; i++)
		p[i] = v_set1(1.381454009e-03F);
	horner(count, p, x, coefficient, 4);
	UNROLL
	for (int i = 0; i < count; i++)
		x[i] = v_add(v_fma(v_mul(x[i], x[i]), p[i], x[i]), v_set1(1));
}

/* exp; 0 from -105 down, infinity from 89 up, not-a-number stays. */
INLINE vec v_exp(vec x)
{
	x = v_min(v_set1(89), v_max(v_set1(-105), x));
	vec n = v_round(v_mul(x, v_set1(1.44269504F)));
	exp_mantissa(1, &x, &n);
	return v_scale2(x, n);
}

/* exp of count <= TOGETHER vectors x <= 0, in place; 0 from -87.7 down, not-a-number stays. */
INLINE void v_exp_down(int count, vec *x)
{
	vec n[TOGETHER];
	UNROLL
	for (int i = 0; i < count; i++) {
		x[i] = v_max(v_set1(-88), x[i]);
		n[i] = v_round(v_mul(x[i], v_set1(1.44269504F)));
	}
	exp_mantissa(count, x, n);
	UNROLL
	for (int i = 0; i < count; i++)
		x[i] = v_scale_down(x[i], n[i]);
}

INLINE vec v_sigmoid(vec x)
{
	return v_div(v_set1(1), v_add(v_set1(1), v_exp(v_sub(v_zero(), x))));
}

/* x times the normal distribution's integral: x / 2 + |x| h(|x|), h(t) = erf(t / sqrt 2) / 2. */
#ifdef V_LOOKUP
/* h in 32 pieces, 1 / 5.688 wide: the polynomial of piece i, in r = 5.688 t - i from -1/2 to 1/2, gives h to 4e-8. The
 * last is 1/2, whatever t. count <= TOGETHER vectors, in place. */
INLINE void v_gelu(int count, vec *x)
{
	/* [power of r, piece] */
	static const float coefficient[5][V_LOOKUP] = {
		{0.000000000e+00F, 6.977700442e-02F, 1.374357045e-01F, 2.010488063e-01F, 2.590425014e-01F, 3.103081286e-01F,
	     3.542504609e-01F, 3.907721937e-01F, 4.202049673e-01F, 4.432046711e-01F, 4.606317282e-01F, 4.734355211e-01F,
	     4.825569391e-01F, 4.888577759e-01F, 4.930780828e-01F, 4.958190620e-01F, 4.975451827e-01F, 4.985992014e-01F,
	     4.992232919e-01F, 4.995816052e-01F, 4.997810423e-01F, 4.998887181e-01F, 4.999450743e-01F, 4.999736845e-01F,
	     4.999877512e-01F, 4.999944568e-01F, 4.999975860e-01F, 4.999989569e-01F, 4.999995828e-01F, 4.999998212e-01F,
	     4.999999404e-01F, 5.000000000e-01F},
		{7.013662159e-02F, 6.906104088e-02F, 6.593233347e-02F, 6.102962419e-02F, 5.477214977e-02F, 4.766019061e-02F,
	     4.020949453e-02F, 3.289109468e-02F, 2.608584426e-02F, 2.005895413e-02F, 1.495507266e-02F, 1.081049535e-02F,
	     7.576688193e-03F, 5.148610566e-03F, 3.392168554e-03F, 2.166913357e-03F, 1.342092291e-03F, 8.059347747e-04F,
	     4.692389630e-04F, 2.648895897e-04F, 1.449814154e-04F, 7.693719817e-05F, 3.958557136e-05F, 1.974758379e-05F,
	     9.551410585e-06F, 4.479170002e-06F, 2.036591468e-06F, 8.978146298e-07F, 3.837476754e-07F, 1.590307477e-07F,
	     6.389879559e-08F, 0.000000000e+00F},
		{1.629038877e-07F,  -1.067264704e-03F, -2.037827857e-03F, -2.829443198e-03F, -3.385781078e-03F,
	     -3.682687879e-03F, -3.728370648e-03F, -3.558079479e-03F, -3.225033637e-03F, -2.789910650e-03F,
	     -2.311150078e-03F, -1.837714575e-03F, -1.405078685e-03F, -1.034364337e-03F, -7.339151343e-04F,
	     -5.023119156e-04F, -3.318511299e-04F, -2.117337572e-04F, -1.305293845e-04F, -7.777869178e-05F,
	     -4.481102951e-05F, -2.496886191e-05F, -1.345870533e-05F, -7.019176792e-06F, -3.542613968e-06F,
	     -1.730546956e-06F, -8.183215527e-07F, -3.746261541e-07F, -1.660551874e-07F, -7.127363233e-08F,
	     -2.962545054e-08F, 0.000000000e+00F},
		{-3.622091026e-04F, -3.442766319e-04F, -2.972759248e-04F, -2.267170930e-04F, -1.425810769e-04F,
	     -5.592848902e-05F, 2.309708543e-05F,  8.686084038e-05F,  1.311130763e-04F,  1.550738962e-04F,
	     1.608480816e-04F,  1.524312102e-04F,  1.346085483e-04F,  1.120009474e-04F,  8.841152885e-05F,
	     6.651636795e-05F,  4.784996781e-05F,  3.299095260e-05F,  2.183959259e-05F,  1.390060424e-05F,
	     8.516102753e-06F,  5.026355211e-06F,  2.860145514e-06F,  1.570038535e-06F,  8.318449431e-07F,
	     4.255727220e-07F,  2.103135586e-07F,  1.004300429e-07F,  4.635383632e-08F,  2.068431648e-08F,
	     8.925352901e-09F,  0.000000000e+00F},
		{2.089250302e-06F,  8.143603736e-06F,  1.506481021e-05F,  1.979551962e-05F,  2.180905358e-05F,
	     2.109315756e-05F,  1.810181311e-05F,  1.360495207e-05F,  8.491680092e-06F,  3.579662462e-06F,
	     -5.234281275e-07F, -3.484053650e-06F, -5.234416221e-06F, -5.911693734e-06F, -5.772919394e-06F,
	     -5.112371582e-06F, -4.198232091e-06F, -3.236590373e-06F, -2.360451163e-06F, -1.636779075e-06F,
	     -1.082982635e-06F, -6.855288461e-07F, -4.159729485e-07F, -2.423326180e-07F, -1.357069550e-07F,
	     -7.312587513e-08F, -3.794704639e-08F, -1.897680768e-08F, -9.150843638e-09F, -4.257063591e-09F,
	     -1.911416359e-09F, 0.000000000e+00F},
	};
	/* Adding it rounds to a whole number, which its last bits then are. */
	const vec round = v_set1(12582912), pieces = v_set1(5.688073F), limit = v_set1(5.45F);
	vec at[TOGETHER], r[TOGETHER], p[TOGETHER];
	UNROLL
	for (int i = 0; i < count; i++) {
		vec inside = v_min(limit, v_abs(x[i]));
		at[i] = v_fma(inside, pieces, round);
		r[i] = v_fma(inside, pieces, v_sub(round, at[i]));
		p[i] = v_lookup(coefficient[4], at[i]);
	}
	UNROLL
	for (int power = 3; power >= 0; power--) {
		UNROLL
		for (int i = 0; i < count; i++)
			p[i] = v_fma(p[i], r[i], v_lookup(coefficient[power], at[i]));
	}
	UNROLL
	for (int i = 0; i < count; i++)
		x[i] = v_fma(v_abs(x[i]), p[i], v_mul(x[i], v_set1(0.5F)));
}
#else
/* h = t P(t^2) below 5.45 and 1/2, to 3e-8, above. P is fitted in s = 2 t^2 / 5.45^2 - 1, where its terms do not
 * cancel. count <= TOGETHER vectors, in place. */
INLINE void v_gelu(int count, vec *x)
{
	static const float coefficient[15] = {
		5.394460540e-04F,  -4.811844481e-04F, 6.922574580e-04F,  -2.216090652e-03F, 4.266708412e-03F,
		-6.463506152e-03F, 9.857676771e-03F,  -1.460265380e-02F, 2.004105665e-02F,  -2.588540959e-02F,
		3.209793290e-02F,  -3.900587230e-02F, 4.811832887e-02F,  -6.474580297e-02F, 1.297292686e-01F,
	};
	const vec limit = v_set1(5.45F);
	vec s[TOGETHER], p[TOGETHER];
	UNROLL
	for (int i = 0; i < count; i++) {
		vec inside = v_min(limit, v_abs(x[i]));
		s[i] = v_fma(v_mul(inside, inside), v_set1(2 / (5.45F * 5.45F)), v_set1(-1));
		p[i] = v_set1(-1.990424054e-04F);
	}
	horner(count, p, s, coefficient, 15);
	UNROLL
	for (int i = 0; i < count; i++) {
		vec t = v_abs(x[i]), h = v_if_less(t, limit, v_mul(t, p[i]), v_set1(0.5F));
		x[i] = v_fma(t, h, v_mul(x[i], v_set1(0.5F)));
	}
}
#endif

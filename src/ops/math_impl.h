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

/* x times the normal distribution's integral: x / 2 + |x| h(|x|), h(t) = erf(t / sqrt 2) / 2 = t P(t^2) below 5.45 and
 * 1/2, to 3e-8, above. P is fitted in s = 2 t^2 / 5.45^2 - 1, where its terms do not cancel. count <= TOGETHER vectors,
 * in place. */
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

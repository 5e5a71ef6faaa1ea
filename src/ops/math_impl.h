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

/* exp, relative error below 1.5e-7; 0 from -105 down, infinity from 89 up, not-a-number stays. */
INLINE vec v_exp(vec x)
{
	x = v_min(v_set1(89), v_max(v_set1(-105), x));
	vec n = v_round(v_mul(x, v_set1(1.44269504F)));
	/* x - n ln 2, ln 2 in two parts: the first has few enough bits for n times it to be exact. */
	vec r = v_fma(n, v_set1(-0.693359375F), x);
	r = v_fma(n, v_set1(2.12194440e-4F), r);
	vec p = v_fma(v_set1(1.381454009e-03F), r, v_set1(8.368745496e-03F));
	p = v_fma(p, r, v_set1(4.166839081e-02F));
	p = v_fma(p, r, v_set1(1.666652040e-01F));
	p = v_fma(p, r, v_set1(4.999999343e-01F));
	p = v_fma(v_mul(r, r), p, r);
	return v_scale2(v_add(p, v_set1(1)), n);
}

INLINE vec v_sigmoid(vec x)
{
	return v_div(v_set1(1), v_add(v_set1(1), v_exp(v_sub(v_zero(), x))));
}

/* x times the normal distribution's integral: x / 2 + |x| h(|x|), h(t) = erf(t / sqrt 2) / 2 = t P(t^2) below 5.45 and
 * 1/2, to 3e-8, above. P is fitted in s = 2 t^2 / 5.45^2 - 1, where its terms do not cancel. */
INLINE vec v_gelu(vec x)
{
	static const float coefficient[15] = {
		5.394460540e-04F,  -4.811844481e-04F, 6.922574580e-04F,  -2.216090652e-03F, 4.266708412e-03F,
		-6.463506152e-03F, 9.857676771e-03F,  -1.460265380e-02F, 2.004105665e-02F,  -2.588540959e-02F,
		3.209793290e-02F,  -3.900587230e-02F, 4.811832887e-02F,  -6.474580297e-02F, 1.297292686e-01F,
	};
	vec t = v_abs(x), limit = v_set1(5.45F), inside = v_min(limit, t);
	vec s = v_fma(v_mul(inside, inside), v_set1(2 / (5.45F * 5.45F)), v_set1(-1));
	vec p = v_set1(-1.990424054e-04F);
	UNROLL
	for (int i = 0; i < 15; i++)
		p = v_fma(p, s, v_set1(coefficient[i]));
	vec h = v_if_less(t, limit, v_mul(t, p), v_set1(0.5F));
	return v_fma(t, h, v_mul(x, v_set1(0.5F)));
}

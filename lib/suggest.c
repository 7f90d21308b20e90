/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "suggest.h"

#include <string.h>

#include "util.h"

enum { WORD_MAX = 64 };

size_t suggest_distance(const char *one, const char *other)
{
	/* d[i][j] is the distance of the first i letters of one from the first j of other. */
	size_t d[WORD_MAX + 1][WORD_MAX + 1];
	const size_t n = strlen(one), m = strlen(other);

	if (n > WORD_MAX || m > WORD_MAX)
		return MAX(n, m);
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++) {
		for (size_t j = 1; j <= m; j++) {
			size_t best = d[i - 1][j - 1] + (one[i - 1] != other[j - 1]);

			best = MIN(best, d[i - 1][j] + 1);
			best = MIN(best, d[i][j - 1] + 1);
			if (i > 1 && j > 1 && one[i - 1] == other[j - 2] &&
			    one[i - 2] == other[j - 1])
				best = MIN(best, d[i - 2][j - 2] + 1);
			d[i][j] = best;
		}
	}
	return d[n][m];
}

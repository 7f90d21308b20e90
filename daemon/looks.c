/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "looks.h"

/*
 * Skeletons are ICU's. A checker of its own for each call costs half of what one skeleton does, and
 * leaves nothing for threads to share.
 */

#include <string.h>
#include <unicode/uspoof.h>

#include "names.h"
#include "util.h"

/*
 * Returns the skeleton of text, or NULL when out of memory: nothing else can go wrong, as ICU's
 * tables are part of the library, and what is not UTF-8 stands for U+FFFD.
 */
static char *skeleton(const char *text)
{
	UErrorCode error = U_ZERO_ERROR;
	USpoofChecker *checker = uspoof_open(&error);
	/* No skeleton of a name that this daemon takes is longer; one that is goes a second round.
	 */
	int32_t size = 512, n = 0;
	char *result = NULL;

	while (U_SUCCESS(error)) {
		result = malloc((size_t)size);
		if (!result)
			break;
		n = uspoof_getSkeletonUTF8(checker, 0, text, -1, result, size, &error);
		if (U_SUCCESS(error) && n < size)
			break;
		free(result);
		result = NULL;
		if (error == U_BUFFER_OVERFLOW_ERROR)
			error = U_ZERO_ERROR;
		size = n + 1;
	}
	uspoof_close(checker);
	return result;
}

/* Returns the skeleton of text with its case folded, or NULL when out of memory. */
static char *folded_skeleton(const char *text)
{
	CLEANUP(freep) char *folded = name_fold(text);

	return folded ? skeleton(folded) : NULL;
}

int looks_of(const char *name, struct looks *ret_looks)
{
	CLEANUP(freep) char *plain = skeleton(name), *written = NULL, *folded = NULL;

	/* Folding may make letters that look like others: M is like no other, m is like rn. */
	written = plain ? folded_skeleton(plain) : NULL;
	folded = folded_skeleton(name);
	if (!written || !folded)
		return -ENOMEM;
	ret_looks->written = STEAL(written);
	ret_looks->folded = STEAL(folded);
	return 0;
}

void looks_done(struct looks *looks)
{
	free(looks->written);
	free(looks->folded);
	*looks = (struct looks){0};
}

bool looks_alike(const struct looks *a, const struct looks *b)
{
	return strcmp(a->written, b->written) == 0 || strcmp(a->folded, b->folded) == 0 ||
	       strcmp(a->written, b->folded) == 0 || strcmp(a->folded, b->written) == 0;
}

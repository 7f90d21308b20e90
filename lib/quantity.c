/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "quantity.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "util.h"

struct unit {
	const char *name;
	uint64_t factor;
};

/* Each from the largest to the smallest, which is the order that formatting tries. */
static const struct unit size_units[] = {
	{"G", UINT64_C(1) << 30},
	{"M", UINT64_C(1) << 20},
	{"K", UINT64_C(1) << 10},
	{"", 1},
};
static const struct unit time_units[] = {
	{"d", 86400000}, {"h", 3600000}, {"min", 60000}, {"s", 1000}, {"ms", 1},
};

static const uint64_t time_max = UINT64_C(365250) * 86400000; /* 1000 years */

enum { FRACTION_DIGITS = 9 };
static const uint64_t fraction_one = 1000000000; /* 10 to the FRACTION_DIGITS */

/* Reads digits and moves *text behind them; a number that is too large becomes UINT64_MAX. */
static int parse_digits(const char **text, uint64_t *ret_number)
{
	const char *at = *text;
	uint64_t number = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(number, UINT64_C(10), &number) ||
		    __builtin_add_overflow(number, (uint64_t)(*at - '0'), &number))
			number = UINT64_MAX;
	if (at == *text)
		return -EINVAL;
	*text = at;
	*ret_number = number;
	return 0;
}

/* Reads the digits behind a decimal point, as billionths; what is finer is rounded up. */
static int parse_fraction(const char **text, uint64_t *ret_billionths)
{
	const char *at = *text;
	uint64_t billionths = 0;
	bool finer = false;
	int n = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		if (n < FRACTION_DIGITS) {
			billionths = billionths * 10 + (uint64_t)(*at - '0');
			n++;
		} else {
			finer |= *at != '0';
		}
	if (n == 0)
		return -EINVAL;
	for (; n < FRACTION_DIGITS; n++)
		billionths *= 10;
	*text = at;
	*ret_billionths = billionths + finer;
	return 0;
}

int quantity_parse_size(const char *text, uint64_t *ret_bytes)
{
	uint64_t number, factor = 1, bytes;
	int r;

	r = parse_digits(&text, &number);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(size_units) - 1; i++)
		if (*text == size_units[i].name[0]) {
			factor = size_units[i].factor;
			text++;
			if (strcmp(text, "B") == 0 || strcmp(text, "iB") == 0)
				text = "";
			break;
		}
	if (*text != '\0')
		return -EINVAL;
	if (__builtin_mul_overflow(number, factor, &bytes) || bytes > INT64_MAX)
		return -ERANGE;
	*ret_bytes = bytes;
	return 0;
}

int quantity_parse_time(const char *text, uint64_t *ret_milliseconds)
{
	uint64_t number, billionths = 0, factor = 0, milliseconds;
	int r;

	r = parse_digits(&text, &number);
	if (r < 0)
		return r;
	if (*text == '.') {
		text++;
		r = parse_fraction(&text, &billionths);
		if (r < 0)
			return r;
	}
	if (*text == '\0')
		text = "s";
	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++)
		if (strcmp(text, time_units[i].name) == 0)
			factor = time_units[i].factor;
	if (factor == 0)
		return -EINVAL;

	if (number > time_max / factor)
		return -ERANGE;
	milliseconds = number * factor + (billionths * factor + fraction_one - 1) / fraction_one;
	if (milliseconds > time_max)
		return -ERANGE;
	*ret_milliseconds = milliseconds;
	return 0;
}

static void format(char text[static QUANTITY_MAX], uint64_t number, const struct unit *units)
{
	if (number == 0) {
		(void)snprintf(text, QUANTITY_MAX, "0"); /* always fits */
		return;
	}
	while (number % units->factor != 0) /* ends at the last unit, whose factor is 1 */
		units++;
	(void)snprintf(text, QUANTITY_MAX, "%" PRIu64 "%s", number / units->factor, units->name);
}

void quantity_format_size(char text[static QUANTITY_MAX], uint64_t bytes)
{
	format(text, bytes, size_units);
}

void quantity_format_time(char text[static QUANTITY_MAX], uint64_t milliseconds)
{
	format(text, milliseconds, time_units);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "moment.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "chat.h"
#include "quantity.h"
#include "util.h"

enum { MSEC_PER_SEC = 1000, DAY_HOURS = 24 };

const char *moment_format(uint64_t time, char text[static MOMENT_TEXT_MAX])
{
	const time_t seconds = (time_t)(time / MSEC_PER_SEC);
	struct tm parts;

	if (!localtime_r(&seconds, &parts) || strftime(text, MOMENT_TEXT_MAX, "%F %T", &parts) == 0)
		(void)snprintf(text, MOMENT_TEXT_MAX, "@%" PRIu64, time / MSEC_PER_SEC);
	return text;
}

/* Makes milliseconds since 1970 of a local time. */
static int from_local(struct tm *parts, uint64_t *ret_time)
{
	time_t seconds;

	parts->tm_isdst = -1; /* as it was at that time */
	seconds = mktime(parts);
	if (seconds < 0)
		return -EINVAL;
	*ret_time = (uint64_t)seconds * MSEC_PER_SEC;
	return 0;
}

static int parse_local(const char *text, uint64_t *ret_time)
{
	static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"};

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm parts = {0};
		const char *end = strptime(text, formats[i], &parts);

		if (end && !*end)
			return from_local(&parts, ret_time);
	}
	return -EINVAL;
}

/* The last time at which clocks showed this. */
static int parse_hour(const char *text, uint64_t now, uint64_t *ret_time)
{
	static const char *const formats[] = {"%H:%M:%S", "%H:%M"};
	const time_t seconds = (time_t)(now / MSEC_PER_SEC);

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		struct tm parts;
		const char *end;
		uint64_t time;

		if (!localtime_r(&seconds, &parts))
			return -EINVAL;
		parts.tm_sec = 0;
		end = strptime(text, formats[i], &parts);
		if (!end || *end)
			continue;
		if (from_local(&parts, &time) < 0)
			return -EINVAL;
		if (time > now) {
			parts.tm_mday--;
			if (from_local(&parts, &time) < 0)
				return -EINVAL;
		}
		*ret_time = time;
		return 0;
	}
	return -EINVAL;
}

static int parse_ago(const char *text, uint64_t now, uint64_t *ret_time)
{
	char span[QUANTITY_MAX];
	size_t len = strlen(text);
	uint64_t ago;

	if (len >= 4 && strcmp(text + len - 4, " ago") == 0)
		len -= 4;
	/* A number without a unit is a message's, not a time's. */
	if (len == 0 || len >= sizeof(span) || (text[len - 1] >= '0' && text[len - 1] <= '9'))
		return -EINVAL;
	memcpy(span, text, len);
	span[len] = '\0';
	if (quantity_parse_time(span, &ago) < 0)
		return -EINVAL;
	*ret_time = ago < now ? now - ago : 0;
	return 0;
}

int moment_parse(const char *text, uint64_t now, uint64_t *ret_time)
{
	if (chat_time_parse(text, ret_time) == 0 || parse_ago(text, now, ret_time) == 0 ||
	    parse_local(text, ret_time) == 0)
		return 0;
	return parse_hour(text, now, ret_time);
}

uint64_t moment_now(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now); /* cannot fail with these arguments */
	return (uint64_t)now.tv_sec * MSEC_PER_SEC + (uint64_t)now.tv_nsec / 1000000;
}

const char *span_format(uint64_t milliseconds, char text[static SPAN_TEXT_MAX])
{
	const uint64_t seconds = milliseconds / MSEC_PER_SEC, minutes = seconds / 60;
	const uint64_t hours = minutes / 60, days = hours / DAY_HOURS;

	if (days > 0)
		(void)snprintf(text, SPAN_TEXT_MAX, "%" PRIu64 "d %" PRIu64 "h", days,
			       hours % DAY_HOURS);
	else if (hours > 0)
		(void)snprintf(text, SPAN_TEXT_MAX, "%" PRIu64 "h %" PRIu64 "min", hours,
			       minutes % 60);
	else if (minutes > 0)
		(void)snprintf(text, SPAN_TEXT_MAX, "%" PRIu64 "min %" PRIu64 "s", minutes,
			       seconds % 60);
	else
		(void)snprintf(text, SPAN_TEXT_MAX, "%" PRIu64 "s", seconds);
	return text;
}

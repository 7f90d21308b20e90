/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The words of the chat service, and its times. Times are computed here, not by libc, since one is
 * written for each message, and without the locale or the time zone having a say.
 */

#include "chat.h"

#include <errno.h>
#include <string.h>

#include "util.h"

/* Days since 1 March of the year 0, in cycles of 400 years; leap days come last in such a year. */
enum {
	DAYS_OF_YEAR = 365,
	DAYS_OF_4_YEARS = 4 * DAYS_OF_YEAR + 1,
	DAYS_OF_100_YEARS = 25 * DAYS_OF_4_YEARS - 1,
	DAYS_OF_400_YEARS = 4 * DAYS_OF_100_YEARS + 1,
	DAYS_TO_1970 = 719468, /* from 1 March 0 to 1 January 1970 */
};

static const uint64_t day_ms = UINT64_C(86400000);
static const uint64_t last_time = UINT64_C(253402300799999); /* the end of the year 9999 */

static const char *const op_names[CHAT_OPS] = {
	[CHAT_HELLO] = "hello",	  [CHAT_TRANSFORM] = "transform",
	[CHAT_JOIN] = "join",	  [CHAT_LEAVE] = "leave",
	[CHAT_SAY] = "say",	  [CHAT_HISTORY] = "history",
	[CHAT_TOPIC] = "topic",	  [CHAT_WHO] = "who",
	[CHAT_ROOMS] = "rooms",	  [CHAT_PING] = "ping",
	[CHAT_STATS] = "stats",	  [CHAT_CLIENTS] = "clients",
	[CHAT_KICK] = "kick",	  [CHAT_BAN] = "ban",
	[CHAT_UNBAN] = "unban",	  [CHAT_MUTE] = "mute",
	[CHAT_UNMUTE] = "unmute", [CHAT_RELOAD] = "reload",
	[CHAT_HEALTH] = "health",
};

static const char *const error_tokens[CHAT_ERRORS] = {
	[CHAT_BAD_JSON] = "bad_json",
	[CHAT_BAD_REQUEST] = "bad_request",
	[CHAT_UNKNOWN_OP] = "unknown_op",
	[CHAT_BAD_NAME] = "bad_name",
	[CHAT_NICK_IN_USE] = "nick_in_use",
	[CHAT_NO_SUCH_ROOM] = "no_such_room",
	[CHAT_NO_SUCH_NICK] = "no_such_nick",
	[CHAT_NOT_MEMBER] = "not_member",
	[CHAT_NOT_ALLOWED] = "not_allowed",
	[CHAT_AUTH_FAILED] = "auth_failed",
	[CHAT_AUTH_REQUIRED] = "auth_required",
	[CHAT_TOO_LONG] = "too_long",
	[CHAT_TOO_MANY_ROOMS] = "too_many_rooms",
	[CHAT_SLOW_DOWN] = "slow_down",
	[CHAT_STORAGE] = "storage",
	[CHAT_MUTED] = "muted",
	[CHAT_SHUTTING_DOWN] = "shutting_down",
	[CHAT_NOT_RELOADED] = "not_reloaded",
};

static const char *const event_names[CHAT_EVENTS] = {
	[CHAT_EVENT_MESSAGE] = "message", [CHAT_EVENT_JOIN] = "join",
	[CHAT_EVENT_LEAVE] = "leave",	  [CHAT_EVENT_TOPIC] = "topic",
	[CHAT_EVENT_GAP] = "gap",	  [CHAT_EVENT_CLOSING] = "closing",
};

const char *chat_op_name(enum chat_op op)
{
	return op_names[op];
}

const char *chat_error_token(enum chat_error error)
{
	return error_tokens[error];
}

const char *chat_event_name(enum chat_event_kind kind)
{
	return event_names[kind];
}

int chat_op_from_name(const char *name, size_t len)
{
	for (int op = 0; op < CHAT_OPS; op++)
		if (len > 0 && op_names[op][0] == name[0] && strlen(op_names[op]) == len &&
		    memcmp(op_names[op], name, len) == 0)
			return op;
	return -EINVAL;
}

int chat_error_from_token(const char *token)
{
	for (int error = CHAT_OK + 1; error < CHAT_ERRORS; error++)
		if (strcmp(error_tokens[error], token) == 0)
			return error;
	return -EINVAL;
}

/* Writes number into n places, with zeros in front. Returns what lies behind it. */
static char *put_digits(char *to, unsigned number, size_t n)
{
	for (size_t i = n; i-- > 0; number /= 10)
		to[i] = (char)('0' + number % 10);
	return to + n;
}

const char *chat_time_format(uint64_t time, char text[static CHAT_TIME_SIZE])
{
	const uint64_t known = MIN(time, last_time);
	unsigned day = (unsigned)(known / day_ms) + DAYS_TO_1970, ms = (unsigned)(known % day_ms);
	unsigned centuries, fours, years, year, month;
	char *to = text;

	year = day / DAYS_OF_400_YEARS * 400;
	day %= DAYS_OF_400_YEARS;
	centuries = MIN(day / DAYS_OF_100_YEARS, 3u);
	day -= centuries * DAYS_OF_100_YEARS;
	fours = day / DAYS_OF_4_YEARS;
	day %= DAYS_OF_4_YEARS;
	years = MIN(day / DAYS_OF_YEAR, 3u);
	day -= years * DAYS_OF_YEAR;
	/* From March on, five months have 153 days, over and over. */
	month = (5 * day + 2) / 153;
	day -= (153 * month + 2) / 5;
	year += 100 * centuries + 4 * fours + years + (month >= 10);

	to = put_digits(to, year, 4);
	*to++ = '-';
	to = put_digits(to, month < 10 ? month + 3 : month - 9, 2);
	*to++ = '-';
	to = put_digits(to, day + 1, 2);
	*to++ = 'T';
	to = put_digits(to, ms / 3600000, 2);
	*to++ = ':';
	to = put_digits(to, ms / 60000 % 60, 2);
	*to++ = ':';
	to = put_digits(to, ms / 1000 % 60, 2);
	*to++ = '.';
	to = put_digits(to, ms % 1000, 3);
	*to++ = 'Z';
	*to = '\0';
	return text;
}

/* Reads exactly n digits at *at, and passes them. */
static bool take_digits(const char **at, size_t n, int *ret_number)
{
	int number = 0;

	for (; n > 0; n--, ++*at) {
		if (**at < '0' || **at > '9')
			return false;
		number = number * 10 + (**at - '0');
	}
	*ret_number = number;
	return true;
}

static bool take(const char **at, const char *one_of)
{
	if (**at == '\0' || !strchr(one_of, **at))
		return false;
	++*at;
	return true;
}

/* Reads a fraction, or none, as milliseconds, further digits cut off, and passes it. */
static bool take_fraction(const char **at, int *ret_ms)
{
	int ms = 0, digits = 0;

	if (take(at, ".")) {
		for (; **at >= '0' && **at <= '9'; ++*at)
			if (digits++ < 3)
				ms = ms * 10 + (**at - '0');
		if (digits == 0)
			return false;
	}
	for (; digits < 3; digits++)
		ms *= 10;
	*ret_ms = ms;
	return true;
}

/* Reads how many minutes a zone is ahead of UTC, and passes it. */
static bool take_zone(const char **at, int *ret_minutes)
{
	const bool behind = **at == '-';
	int hours, minutes;

	if (take(at, "Zz")) {
		*ret_minutes = 0;
		return true;
	}
	if (!take(at, "+-") || !take_digits(at, 2, &hours) || !take(at, ":") ||
	    !take_digits(at, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_minutes = (hours * 60 + minutes) * (behind ? -1 : 1);
	return true;
}

static bool is_day(int year, int month, int day)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month >= 1 && month <= 12 && day >= 1 &&
	       day <= days[month - 1] + (month == 2 && leap);
}

/* Days from 1 January 1970 to a day of the years 1 to 9999; negative before it. */
static int64_t days_since_1970(int year, int month, int day)
{
	year -= month <= 2;
	month += month > 2 ? -3 : 9;
	return (int64_t)year * DAYS_OF_YEAR + year / 4 - year / 100 + year / 400 +
	       (153 * month + 2) / 5 + day - 1 - DAYS_TO_1970;
}

int chat_time_parse(const char *text, uint64_t *ret_time)
{
	int year, month, day, hours, minutes, seconds, ms, zone;
	int64_t time;

	if (!take_digits(&text, 4, &year) || !take(&text, "-") || !take_digits(&text, 2, &month) ||
	    !take(&text, "-") || !take_digits(&text, 2, &day) || !take(&text, "Tt ") ||
	    !take_digits(&text, 2, &hours) || !take(&text, ":") ||
	    !take_digits(&text, 2, &minutes) || !take(&text, ":") ||
	    !take_digits(&text, 2, &seconds) || !take_fraction(&text, &ms) ||
	    !take_zone(&text, &zone) || *text)
		return -EINVAL;
	/* 60 is a leap second, which to us is the same as the second that follows it. */
	if (!is_day(year, month, day) || hours > 23 || minutes > 59 || seconds > 60)
		return -EINVAL;

	time = (days_since_1970(year, month, day) * 24 + hours) * 60 + minutes - zone;
	time = (time * 60 + seconds) * 1000 + ms;
	if (time < 0)
		return -EINVAL;
	*ret_time = (uint64_t)time;
	return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Counting silences, and telling how it went. */
#include "endure.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "clock.h"

enum { TOLD_MAX = 20 };

void report_silence(struct load *load, enum kind kind, unsigned client, uint64_t since,
		    uint64_t now)
{
	struct silence silence = {
		.length = now - since, .end = now, .kind = kind, .client = client};
	struct tally *tally = &load->tallies[kind];
	size_t class = 0;

	if (now < since) /* the clock of a turn is read once */
		silence.length = 0;
	while (class + 1 < SILENCES && silence.length >= NSEC_PER_MSEC << class)
		class ++;
	tally->silences[class]++;
	tally->longest = MAX(tally->longest, silence.length);

	/* The longest first. */
	for (size_t i = 0; i < LONGEST && silence.length > load->longest[LONGEST - 1].length; i++) {
		struct silence other = load->longest[i];

		if (silence.length <= other.length)
			continue;
		load->longest[i] = silence;
		silence = other;
	}
}

void report_ready(struct load *load, uint64_t now)
{
	for (size_t i = 0; i < KINDS; i++) {
		load->tallies[i].longest = 0;
		memset(load->tallies[i].silences, 0, sizeof(load->tallies[i].silences));
	}
	memset(load->longest, 0, sizeof(load->longest));
	load->longest_turn = 0;
	load->ready_at = now;
}

void report_fault(struct load *load, const struct client *client, const char *why)
{
	if (load->n_told++ < TOLD_MAX)
		(void)fprintf(stderr, "tool_endure: %s client %u: %s\n", kind_name(client->kind),
			      client->index, why);
	else if (load->n_told == TOLD_MAX + 1)
		(void)fputs("tool_endure: and so on\n", stderr);
}

static double ms(uint64_t ns)
{
	return (double)ns / (double)NSEC_PER_MSEC;
}

static void add(struct tally *sum, const struct tally *tally)
{
	sum->clients += tally->clients;
	sum->connects += tally->connects;
	sum->refused += tally->refused;
	sum->retries += tally->retries;
	sum->dropped += tally->dropped;
	sum->wrong += tally->wrong;
	sum->unanswered += tally->unanswered;
	sum->left += tally->left;
	sum->cycles += tally->cycles;
	sum->resends += tally->resends;
	sum->messages += tally->messages;
	sum->said += tally->said;
	sum->sent += tally->sent;
	sum->received += tally->received;
	sum->longest = MAX(sum->longest, tally->longest);
	for (size_t i = 0; i < SILENCES; i++)
		sum->silences[i] += tally->silences[i];
}

static json_t *tally_object(const struct tally *tally)
{
	json_t *object = json_object();
	const struct {
		const char *name;
		uint64_t value;
	} members[] = {
		{"clients", tally->clients},   {"dropped", tally->dropped},
		{"wrong", tally->wrong},       {"unanswered", tally->unanswered},
		{"refused", tally->refused},   {"left", tally->left},
		{"messages", tally->messages}, {"said", tally->said},
		{"connects", tally->connects}, {"cycles", tally->cycles},
		{"retries", tally->retries},   {"resends", tally->resends},
		{"bytes_sent", tally->sent},   {"bytes_received", tally->received},
	};

	/* Without memory a member is missing, and whoever reads it fails. */
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		(void)json_object_set_new(object, members[i].name,
					  json_integer((json_int_t)members[i].value));
	(void)json_object_set_new(object, "longest_ms", json_real(ms(tally->longest)));
	return object;
}

/* "<8": silences of 4 to 8 ms. */
static json_t *histogram(const struct tally *tally)
{
	json_t *object = json_object();
	char name[24];

	for (size_t i = 0; i < SILENCES; i++) {
		if (tally->silences[i] == 0)
			continue;
		(void)snprintf(name, sizeof(name), "<%lu", 1UL << i);
		(void)json_object_set_new(object, name,
					  json_integer((json_int_t)tally->silences[i]));
	}
	return object;
}

static json_t *longest(const struct load *load)
{
	json_t *array = json_array();

	for (size_t i = 0; i < LONGEST && load->longest[i].length > 0; i++) {
		const struct silence *silence = &load->longest[i];

		(void)json_array_append_new(
			array, json_pack("{s:f, s:f, s:s, s:i}", "ms", ms(silence->length), "at_ms",
					 ms(silence->end - load->ready_at), "kind",
					 kind_name(silence->kind), "client", (int)silence->client));
	}
	return array;
}

static double own_cpu(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return 0;
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

bool report_print(const struct load *load, uint64_t now)
{
	struct tally sum = {0};
	json_t *kinds = json_object(), *report;
	bool clean;

	for (size_t i = 0; i < KINDS; i++) {
		if (load->tallies[i].clients == 0)
			continue;
		add(&sum, &load->tallies[i]);
		(void)json_object_set_new(kinds, kind_name((enum kind)i),
					  tally_object(&load->tallies[i]));
	}
	clean = load->ready &&
		sum.dropped + sum.wrong + sum.unanswered + sum.refused + sum.left == 0;
	report = json_pack(
		"{s:b, s:b, s:f, s:f, s:f, s:f, s:o, s:o, s:o, s:o}", "clean", clean, "ready",
		load->ready, "seconds", ms(now - load->begin) / 1000, "ready_seconds",
		load->ready ? ms(load->ready_at - load->begin) / 1000 : 0.0, "own_cpu_seconds",
		own_cpu(), "own_longest_turn_ms", ms(load->longest_turn), "all", tally_object(&sum),
		"kinds", kinds, "silences", histogram(&sum), "longest", longest(load));
	if (!report || json_dumpf(report, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(9)) < 0)
		clean = false;
	(void)putchar('\n');
	json_decref(report);
	return fflush(stdout) == 0 && clean;
}

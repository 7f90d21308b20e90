/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What administrators are told of listeners, workers and the last restart. */

#include "report.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "datagram.h"
#include "harness.h"
#include "util.h"

enum { THREADS = 3 };

struct stage {
	struct listener_config config;
	struct generation generation;
	struct crew_member members[2];
	struct crew crew;
	struct door door;
	struct listeners listeners;
	struct listener *listener; /* the only one; owned */
	struct report_restart restart;
};

static void stage_init(struct stage *stage)
{
	*stage = (struct stage){.config.name = "some", .generation = {NULL, 1}};
	stage->crew = (struct crew){.members = stage->members, .n = 2};
	stage->listeners.crew = &stage->crew;
	stage->listeners.door = &stage->door;
	list_init(&stage->listeners.all);
	stage->listener = listener_new(&stage->generation, &stage->config, THREADS);
	ck_assert_ptr_nonnull(stage->listener);
	list_append(&stage->listeners.all, &stage->listener->link);
}

/* Adds a socket that is bound to a path, or to a port of the loopback device. */
static struct listening *add_socket(struct stage *stage, const char *address)
{
	struct listening *listening = calloc(1, sizeof(*listening));
	struct address parsed = {0};
	struct endpoint *endpoints = NULL;
	const char *problem = "?";
	size_t n;

	ck_assert_ptr_nonnull(listening);
	ck_assert_msg(address_parse(address, &parsed, &problem) == 0, "%s", problem);
	ck_assert_msg(address_resolve(&parsed, true, "/", &endpoints, &n, &problem) == 0, "%s",
		      problem);
	listening->endpoint = endpoints[0];
	listening->inherited = true; /* no file of ours */
	listening->fd = -1;
	list_append(&stage->listener->sockets, &listening->link);
	free(endpoints);
	address_done(&parsed);
	return listening;
}

static struct listening *add_datagrams(struct stage *stage, const char *address, unsigned worker)
{
	struct listening *listening = add_socket(stage, address);

	listening->datagram = calloc(1, sizeof(*listening->datagram));
	ck_assert_ptr_nonnull(listening->datagram);
	listening->worker = worker;
	stage->members[worker].load++;
	return listening;
}

static void count(struct stage *stage, unsigned thread, enum counter counter, uint64_t n)
{
	counters_add(&stage->listener->counters[thread], counter, n);
}

/* What it says. The caller frees it by json_decref(). */
static json_t *stats(const struct stage *stage)
{
	const struct report_daemon daemon = {
		.started = 1700000000123, .uptime = 17, .rate = 5, .restart = &stage->restart};
	CLEANUP(buffer_done) struct buffer text = {0};
	json_t *all;

	ck_assert_int_eq(buffer_append(&text, "{", 1), 0);
	ck_assert_int_eq(report_stats(&daemon, &stage->listeners, &text), 0);
	ck_assert_int_eq(text.data[text.len - 1], ',');
	text.data[text.len - 1] = '}';
	all = json_loadb((const char *)text.data, text.len, 0, NULL);
	ck_assert_ptr_nonnull(all);
	return all;
}

/* Asserts that a member of what it says is this; ' stands for ". */
static void expect(const struct stage *stage, const char *member, const char *json)
{
	json_t *all = stats(stage);
	char *text = json_dumps(json_object_get(all, member), JSON_COMPACT | JSON_ENCODE_ANY);

	ck_assert_ptr_nonnull(text);
	for (char *quote = text; (quote = strchr(quote, '"'));)
		*quote = '\'';
	ck_assert_str_eq(text, json);
	free(text);
	json_decref(all);
}

static void expect_rate(const struct stage *stage, json_int_t rate)
{
	json_t *all = stats(stage);
	json_t *first = json_array_get(json_object_get(all, "listeners"), 0);

	ck_assert_int_eq(json_integer_value(json_object_get(first, "messages_per_second")), rate);
	json_decref(all);
}

START_TEST(test_daemon)
{
	struct stage stage;

	stage_init(&stage);
	stage.door.clients = 3;
	expect(&stage, "started", "1700000000123");
	expect(&stage, "uptime", "17");
	expect(&stage, "messages_per_second", "5");
	expect(&stage, "clients", "3");
	expect(&stage, "restart", "null");
	stage.restart = (struct report_restart){.at = 1700000000456, .carried = 9000, .lost = 2};
	expect(&stage, "restart", "{'at':1700000000456,'carried':9000,'lost':2,'crash':false}");
	stage.restart.crash = true;
	expect(&stage, "restart", "{'at':1700000000456,'carried':9000,'lost':2,'crash':true}");
	listener_free(stage.listener);
}
END_TEST

START_TEST(test_listener)
{
	struct stage stage;

	stage_init(&stage);
	stage.listener->clients = 2;
	for (unsigned thread = 0; thread < THREADS; thread++) {
		count(&stage, thread, COUNTER_MESSAGES, 10);
		count(&stage, thread, COUNTER_BYTES_IN, 100);
		count(&stage, thread, COUNTER_BYTES_OUT, 1000);
		count(&stage, thread, COUNTER_ACCEPTED, 1);
	}
	count(&stage, 1, COUNTER_TOO_LONG, 4);
	(void)add_socket(&stage, "tcp://127.0.0.1:7007");
	(void)add_socket(&stage, "unix:/a \"b\\\xff");
	(void)add_datagrams(&stage, "udp://127.0.0.1:7007", 0);
	/* What its worker has still to give back is listened on no more. */
	add_datagrams(&stage, "udp://127.0.0.1:7008", 0)->datagram->asked_back = true;
	expect(&stage, "listeners",
	       "[{'name':'some','service':'transform',"
	       "'addresses':['tcp://127.0.0.1:7007','unix:/a \\'b\\\\\\\\xFF',"
	       "'udp://127.0.0.1:7007'],'clients':2,'messages_per_second':0,'messages':30,"
	       "'bytes_in':300,'bytes_out':3000,'accepted':3,"
	       "'refused':{'messages longer than max_message':4}}]");
	listener_free(stage.listener);
}
END_TEST

START_TEST(test_workers)
{
	struct stage stage;

	stage_init(&stage);
	stage.members[0].load = 7;
	stage.members[1].load = 5;
	(void)add_datagrams(&stage, "udp://127.0.0.1:7007", 1);
	(void)add_socket(&stage, "tcp://127.0.0.1:7007");
	expect(&stage, "workers",
	       "[{'connections':7,'datagram_sockets':0},{'connections':5,'datagram_sockets':1}]");
	listener_free(stage.listener);
}
END_TEST

START_TEST(test_rates)
{
	struct stage stage;

	stage_init(&stage);
	count(&stage, 0, COUNTER_MESSAGES, 70);
	count(&stage, 2, COUNTER_MESSAGES, 50);
	report_rates(&stage.listeners, 10);
	expect_rate(&stage, 12);
	count(&stage, 1, COUNTER_MESSAGES, 30);
	expect_rate(&stage, 12);
	report_rates(&stage.listeners, 10);
	expect_rate(&stage, 3);
	report_rates(&stage.listeners, 10);
	expect_rate(&stage, 0);
	listener_free(stage.listener);
}
END_TEST

static json_int_t refused_with(const json_t *from, const char *error)
{
	const json_t *number = json_object_get(json_object_get(from, "refused_requests"), error);

	ck_assert(json_is_integer(number));
	return json_integer_value(number);
}

/* Requests are counted by their errors, each of which is told of, where there are requests. */
START_TEST(test_refused_requests)
{
	struct stage stage;
	json_t *all, *first;

	stage_init(&stage);
	stage.config.settings.service = SERVICE_CHAT;
	stage.listeners.forgotten.refusals[CHAT_MUTED] = 5;
	for (unsigned thread = 0; thread < THREADS; thread++) {
		counters_add_reply(&stage.listener->counters[thread], CHAT_OK);
		for (int error = CHAT_OK + 1; error < CHAT_ERRORS; error++)
			for (int n = 0; n < error; n++)
				counters_add_reply(&stage.listener->counters[thread],
						   (enum chat_error)error);
	}
	all = stats(&stage);
	first = json_array_get(json_object_get(all, "listeners"), 0);
	for (int error = CHAT_OK + 1; error < CHAT_ERRORS; error++) {
		const char *token = chat_error_token((enum chat_error)error);
		const json_int_t n = (json_int_t)THREADS * error;

		ck_assert_int_eq(refused_with(first, token), n);
		ck_assert_int_eq(refused_with(all, token), n + (error == CHAT_MUTED ? 5 : 0));
	}
	ck_assert_uint_eq(json_object_size(json_object_get(all, "refused_requests")),
			  CHAT_ERRORS - 1);
	ck_assert_uint_eq(json_object_size(json_object_get(all, "refused")), 0);
	json_decref(all);

	stage.config.settings.service = SERVICE_TRANSFORM;
	all = stats(&stage);
	first = json_array_get(json_object_get(all, "listeners"), 0);
	ck_assert_ptr_null(json_object_get(first, "refused_requests"));
	json_decref(all);
	listener_free(stage.listener);
}
END_TEST

/* Every name under which something is counted as refused has a word, and each word is one. */
START_TEST(test_reasons)
{
	struct stage stage;
	const char *word;
	json_t *all, *reasons, *name;

	stage_init(&stage);
	for (unsigned i = COUNTER_GONE + 1; i < COUNTER_COUNT; i++)
		count(&stage, 0, (enum counter)i, i);
	all = stats(&stage);
	reasons = json_object_get(all, "reasons");
	ck_assert_uint_eq(json_object_size(reasons), COUNTER_COUNT - COUNTER_GONE - 1);
	json_object_foreach(reasons, word, name) {
		json_t *refused = json_object_get(all, "refused");

		ck_assert_uint_eq(strspn(word, "abcdefghijklmnopqrstuvwxyz_"), strlen(word));
		ck_assert_int_gt(
			json_integer_value(json_object_get(refused, json_string_value(name))), 0);
		ck_assert_int_eq(json_object_del(refused, json_string_value(name)), 0);
	}
	ck_assert_uint_eq(json_object_size(json_object_get(all, "refused")), 0);
	json_decref(all);
	listener_free(stage.listener);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("report");

	harness_add(suite, test_daemon);
	harness_add(suite, test_listener);
	harness_add(suite, test_workers);
	harness_add(suite, test_rates);
	harness_add(suite, test_reasons);
	harness_add(suite, test_refused_requests);
	return harness_main(suite);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How the answers of a turn are put together: the bytes, their order, and what is not copied. */

#include <string.h>

#include "answers.h"
#include "harness.h"

/* A turn: the input, how far it is cut, and what has to leave. */
struct turn {
	struct frame_rules rules;
	struct buffer input;
	size_t at, scanned;
	struct answers answers;
	struct buffer expected;
};

static void turn_begin(struct turn *turn, enum framing framing, const void *input, size_t len)
{
	*turn = (struct turn){.rules = {.framing = framing, .max_message = 65536}};
	ck_assert_int_eq(buffer_append(&turn->input, input, len), 0);
}

static struct frame turn_cut(struct turn *turn)
{
	struct bytes window = {turn->input.data + turn->at, turn->input.len - turn->at};
	struct frame frame;

	ck_assert_int_eq(frame_cut(&turn->rules, window, true, &turn->scanned, &frame),
			 FRAME_MESSAGE);
	turn->at += frame.size;
	return frame;
}

static void expect_answer(struct turn *turn, const struct frame *frame, const void *data,
			  size_t len)
{
	ck_assert_int_eq(frame_append(&turn->expected, turn->rules.framing,
				      frame->crlf ? LINE_END_CRLF : LINE_END_LF, data, len),
			 0);
}

/* Answers the next request with itself, each byte one more. */
static void answer_in_place(struct turn *turn)
{
	struct frame frame = turn_cut(turn);

	for (size_t i = 0; i < frame.body.len; i++)
		frame.body.data[i]++;
	expect_answer(turn, &frame, frame.body.data, frame.body.len);
	ck_assert_int_eq(answers_add(&turn->answers, turn->rules.framing, &frame, frame.body), 0);
}

/* Answers the next request with other bytes, which are overwritten at once. */
static void answer_with(struct turn *turn, size_t len)
{
	struct frame frame = turn_cut(turn);
	uint8_t *data = malloc(len + 1);

	ck_assert_ptr_nonnull(data);
	memset(data, (int)('A' + turn->at % 26), len);
	expect_answer(turn, &frame, data, len);
	ck_assert_int_eq(
		answers_add(&turn->answers, turn->rules.framing, &frame, (struct bytes){data, len}),
		0);
	memset(data, '!', len);
	free(data);
}

/* What leaves is what is expected, in n_parts (-1: any number). */
static void turn_end(struct turn *turn, int n_parts)
{
	struct iovec parts[ANSWERS_PARTS_MAX];
	int n = answers_parts(&turn->answers, parts);
	struct buffer all = {0};

	ck_assert_int_le(n, ANSWERS_PARTS_MAX);
	if (n_parts >= 0)
		ck_assert_int_eq(n, n_parts);
	for (int i = 0; i < n; i++) {
		ck_assert_uint_gt(parts[i].iov_len, 0);
		ck_assert_int_eq(buffer_append(&all, parts[i].iov_base, parts[i].iov_len), 0);
	}
	assert_bytes(all.data, all.len, turn->expected.data, turn->expected.len, "answers");
	ck_assert_uint_eq(turn->answers.len, all.len);
	answers_clear(&turn->answers, 0);
	ck_assert_uint_eq(turn->answers.len, 0);
	ck_assert_int_eq(answers_parts(&turn->answers, parts), 0);
	answers_done(&turn->answers);
	buffer_done(&turn->input);
	buffer_done(&turn->expected);
	buffer_done(&all);
}

#define TURN(turn, framing, input) turn_begin(turn, framing, input, sizeof(input) - 1)

START_TEST(test_neighbours_stay_in_one_part)
{
	static const char *const inputs[] = {"abcdef", "a\nbc\r\n\ndef\n",
					     "1         a0         5         bcdef"};
	static const int messages[] = {1, 4, 3};

	for (int framing = FRAMING_RAW; framing <= FRAMING_LENGTH; framing++) {
		struct iovec parts[ANSWERS_PARTS_MAX];
		struct turn turn;

		turn_begin(&turn, (enum framing)framing, inputs[framing], strlen(inputs[framing]));
		for (int i = 0; i < messages[framing]; i++)
			answer_in_place(&turn);
		ck_assert_int_eq(answers_parts(&turn.answers, parts), 1);
		ck_assert_ptr_eq(parts[0].iov_base, turn.input.data);
		ck_assert_ptr_null(turn.answers.copied.data);
		turn_end(&turn, 1);
	}
}
END_TEST

/* However a client writes its headers, ours are written in one way. */
START_TEST(test_header_in_another_way)
{
	struct turn turn;

	TURN(&turn, FRAMING_LENGTH, "007       abcdefg0000000001x3         xyz000       ");
	for (int i = 0; i < 4; i++)
		answer_in_place(&turn);
	ck_assert_uint_eq(turn.answers.copied.len, 0);
	assert_bytes(turn.input.data, 17, "7         bcdefgh", 17, "the input, in place");
	turn_end(&turn, 1);
}
END_TEST

START_TEST(test_bare_line)
{
	struct turn turn;

	TURN(&turn, FRAMING_LINE, "one\r\ntwo");
	answer_in_place(&turn);
	answer_in_place(&turn);
	assert_bytes(turn.expected.data, turn.expected.len, "pof\r\nuxp\n", 9, "with an end");
	turn_end(&turn, 2);
}
END_TEST

START_TEST(test_copies_are_one_part)
{
	struct turn turn;

	TURN(&turn, FRAMING_LINE, "one\r\ntwo\nthree\nfour\r\nfive\nsix\nseven\n");
	answer_in_place(&turn);
	answer_with(&turn, 10);
	answer_with(&turn, 0);
	answer_with(&turn, 5);	/* as long as its request, but elsewhere */
	answer_in_place(&turn); /* so short that it joins them */
	ck_assert_int_eq(turn.answers.n_parts, 2);
	answer_with(&turn, 100000); /* the copies move to where there is room */
	answer_in_place(&turn);
	turn_end(&turn, 2);
}
END_TEST

/* Long ones in place and others by turns: there are only so many parts. */
START_TEST(test_more_than_all_parts)
{
	enum { N = 3 * ANSWERS_PARTS_MAX, LONG = 2000 };
	static const char message[LONG];
	struct buffer input = {0};
	struct turn turn;

	for (int i = 0; i < N; i++)
		wrap(&input, FRAMING_LENGTH, message, LONG);
	for (int first = 0; first < 2; first++) {
		turn_begin(&turn, FRAMING_LENGTH, input.data, input.len);
		for (int i = 0; i < N; i++)
			if (i % 2 == first)
				answer_in_place(&turn);
			else
				answer_with(&turn, LONG + 1);
		turn_end(&turn, first == 0 ? ANSWERS_PARTS_MAX : ANSWERS_PARTS_MAX - 1);
	}
	buffer_done(&input);
}
END_TEST

START_TEST(test_what_is_no_answer)
{
	struct turn turn;

	TURN(&turn, FRAMING_LENGTH, "2         ab");
	ck_assert_int_eq(answers_say(&turn.answers, FRAMING_LENGTH, "hello", 5), 0);
	answer_with(&turn, 0);
	ck_assert_int_eq(answers_say_error(&turn.answers, FRAMING_LENGTH, "oops"), 0);
	turn.expected.len = 0;
	ck_assert_int_eq(
		buffer_append(&turn.expected, "5         hello0         -4        oops", 39), 0);
	turn_end(&turn, 1);

	TURN(&turn, FRAMING_LINE, "a\r\n");
	answer_in_place(&turn);
	ck_assert_int_eq(answers_say(&turn.answers, FRAMING_LINE, "hello", 5), 0);
	ck_assert_int_eq(answers_say_error(&turn.answers, FRAMING_LINE, "oops"), 0);
	ck_assert_int_eq(buffer_append(&turn.expected, "hello\nerror: oops\n", 18), 0);
	turn_end(&turn, 2);
}
END_TEST

/* Raw has no words for an error, and an empty answer is no byte: then there is no part either. */
START_TEST(test_nothing_is_no_part)
{
	struct turn turn;

	TURN(&turn, FRAMING_RAW, "abc");
	ck_assert_int_eq(answers_say_error(&turn.answers, FRAMING_RAW, "oops"), 0);
	turn_end(&turn, 0);

	TURN(&turn, FRAMING_RAW, "abc");
	answer_with(&turn, 0);
	turn_end(&turn, 0);

	TURN(&turn, FRAMING_RAW, "abc");
	answer_in_place(&turn);
	ck_assert_int_eq(answers_say_error(&turn.answers, FRAMING_RAW, "oops"), 0);
	turn_end(&turn, 1);
}
END_TEST

START_TEST(test_clear_keeps_memory)
{
	struct turn turn;
	size_t size;

	TURN(&turn, FRAMING_LINE, "a\nb\n");
	answer_with(&turn, 3000);
	size = turn.answers.copied.size;
	answers_clear(&turn.answers, size);
	ck_assert_uint_eq(turn.answers.copied.size, size);
	turn.expected.len = 0;
	answer_with(&turn, 5);
	answers_clear(&turn.answers, size - 1);
	ck_assert_ptr_null(turn.answers.copied.data);
	turn.expected.len = 0;
	turn_end(&turn, 0);
}
END_TEST

/* Any mixture of all of it. */
START_TEST(test_mixtures)
{
	struct random random;
	char message[1200];

	random_init(&random, 5);
	memset(message, 'm', sizeof(message));
	for (int round = 0; round < 300; round++) {
		enum framing framing = round % 2 ? FRAMING_LINE : FRAMING_LENGTH;
		size_t n = random_below(&random, 60);
		struct buffer input = {0};
		struct turn turn;

		for (size_t i = 0; i < n; i++)
			ck_assert_int_eq(
				frame_append(&input, framing,
					     random_below(&random, 2) ? LINE_END_LF : LINE_END_CRLF,
					     message, random_below(&random, sizeof(message))),
				0);
		turn_begin(&turn, framing, input.data, input.len);
		for (size_t i = 0; i < n; i++)
			if (random_below(&random, 3))
				answer_in_place(&turn);
			else
				answer_with(&turn, random_below(&random, sizeof(message)));
		turn_end(&turn, -1);
		buffer_done(&input);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("answers");

	harness_add(suite, test_neighbours_stay_in_one_part);
	harness_add(suite, test_header_in_another_way);
	harness_add(suite, test_bare_line);
	harness_add(suite, test_copies_are_one_part);
	harness_add(suite, test_more_than_all_parts);
	harness_add(suite, test_what_is_no_answer);
	harness_add(suite, test_nothing_is_no_part);
	harness_add(suite, test_clear_keeps_memory);
	harness_add(suite, test_mixtures);
	return harness_main(suite);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * JSON payloads: what comes out by table, where errors are, and that what is JSON is what jansson
 * says it is.
 */

#include <check.h>
#include <jansson.h>

#include "payload.h"
#include "text.h"
#include "util.h"

#define TEXT(literal)                                     \
	{                                                 \
		(uint8_t *)(literal), sizeof(literal) - 1 \
	}

static uint32_t random_next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

/* Everything that a call needs. */
struct fixture {
	struct pipeline pipeline;
	struct scratch scratch;
	struct payload_scratch memory;
	struct buffer out;
	struct payload_error error;
};

static void fixture_done(struct fixture *fixture)
{
	scratch_done(&fixture->scratch);
	payload_scratch_done(&fixture->memory);
	buffer_done(&fixture->out);
}

/* Rewrites message, behind bytes that are there already and must stay. */
static int rewrite(struct fixture *fixture, const void *message, size_t len)
{
	static const char before[] = "before";
	/* Exactly as large as the message, so that a sanitizer sees a read past its end. */
	CLEANUP(freep) uint8_t *data = malloc(len > 0 ? len : 1);
	size_t n = sizeof(before) - 1;
	int r;

	memcpy(data, message, len);
	fixture->error = (struct payload_error){0};
	fixture->out.len = 0;
	ck_assert_int_eq(buffer_append(&fixture->out, before, n), 0);
	r = payload_json(&fixture->pipeline, &fixture->scratch, &fixture->memory,
			 (struct bytes){data, len}, &fixture->out, &fixture->error);
	ck_assert_uint_ge(fixture->out.len, n);
	ck_assert_mem_eq(fixture->out.data, before, n);
	ck_assert(memcmp(data, message, len) == 0);
	if (r < 0)
		ck_assert_uint_eq(fixture->out.len, n);
	if (r == -EBADMSG) {
		ck_assert_ptr_nonnull(fixture->error.reason);
		ck_assert_uint_le(fixture->error.position, len);
	} else {
		ck_assert_ptr_null(fixture->error.reason);
	}
	buffer_consume(&fixture->out, n);
	return r;
}

START_TEST(test_values)
{
	static const struct {
		const char *pipeline;
		struct bytes message, answer;
	} cases[] = {
		{"upper", TEXT("\"straße\""), TEXT("\"STRASSE\"")},
		{"upper", TEXT("{\"key\":\"value\"}"), TEXT("{\"key\":\"VALUE\"}")},
		{"upper", TEXT(" { \"a\" : [ \"b\" , { \"c\" : \"d\" } , null ] }\r\n\t"),
		 TEXT("{\"a\":[\"B\",{\"c\":\"D\"},null]}")},
		{"upper", TEXT("{\"a\":\"x\",\"b\":\"y\",\"a\":\"z\"}"),
		 TEXT("{\"a\":\"X\",\"b\":\"Y\",\"a\":\"Z\"}")},
		{"upper", TEXT("{\"\":\"\"}"), TEXT("{\"\":\"\"}")},
		{"upper", TEXT("[]"), TEXT("[]")},
		{"upper", TEXT("[ ]"), TEXT("[]")},
		{"upper", TEXT("{ }"), TEXT("{}")},
		{"upper", TEXT("[true,false,null]"), TEXT("[true,false,null]")},
		{"upper", TEXT("true"), TEXT("true")},
		{"upper", TEXT("0"), TEXT("0")},
		{"reverse", TEXT("[1.10, 1e400, -0, -0.0E+05, 12345678901234567890123]"),
		 TEXT("[1.10,1e400,-0,-0.0E+05,12345678901234567890123]")},
		{"reverse", TEXT("{\"k\\u0065y\\n\":\"\\u0065a\"}"),
		 TEXT("{\"k\\u0065y\\n\":\"ae\"}")},
		{"reverse", TEXT("\"cafe\\u0301\\ud83d\\udc4d\\ud83c\\udffd\""),
		 TEXT("\"👍🏽e\u0301fac\"")},
		{"reverse", TEXT("\"a\\r\\nb\""), TEXT("\"b\\r\\na\"")},
		{"reverse", TEXT("\"\\\\\\\"n\""), TEXT("\"n\\\"\\\\\"")},
		{"lower", TEXT("\"\\u0041\\u03A3 \\u0130\""), TEXT("\"aς i\u0307\"")},
		{"echo", TEXT("\"\\/\\u002f\\u003C\\u007f\""), TEXT("\"//<\x7F\"")},
		{"echo", TEXT("\"\\b\\f\\n\\r\\t\\\"\\\\\""), TEXT("\"\\b\\f\\n\\r\\t\\\"\\\\\"")},
		{"echo", TEXT("\"\\u0008\\u000C\\u000a\\u000D\\u0009\\u0022\\u005c\""),
		 TEXT("\"\\b\\f\\n\\r\\t\\\"\\\\\"")},
		{"echo", TEXT("\"\\u0000\\u0001\\u001F\\u000b\""),
		 TEXT("\"\\u0000\\u0001\\u001f\\u000b\"")},
		{"upper", TEXT("\"a\\u0000b\""), TEXT("\"A\\u0000B\"")},
		{"echo", TEXT("\"\\uD834\\udd1e\\udbff\\uDFFF\\ud7ff\\ue000\\uffff\""),
		 TEXT("\"\U0001D11E\U0010FFFF\uD7FF\uE000\uFFFF\"")},
		{"echo", TEXT(" [ 1 , 2 ] "), TEXT("[1,2]")},
		{"echo", TEXT("\"\u2028 \x7F\""), TEXT("\"\u2028 \x7F\"")},
		{"upper,reverse", TEXT("[\"straße\",\"ŉ\"]"), TEXT("[\"ESSARTS\",\"Nʼ\"]")},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture fixture = {0};

		ck_assert_int_eq(pipeline_parse(&fixture.pipeline, cases[i].pipeline, NULL), 0);
		ck_assert_int_eq(rewrite(&fixture, cases[i].message.data, cases[i].message.len), 0);
		if (fixture.out.len != cases[i].answer.len ||
		    memcmp(fixture.out.data, cases[i].answer.data, fixture.out.len) != 0)
			ck_abort_msg("%s of %s is %.*s", cases[i].pipeline, cases[i].message.data,
				     (int)fixture.out.len, fixture.out.data);
		fixture_done(&fixture);
	}
}
END_TEST

START_TEST(test_errors)
{
	static const struct {
		struct bytes message;
		size_t position;
		const char *reason;
	} cases[] = {
		{TEXT(""), 0, "unexpected end"},
		{TEXT("  \n"), 3, "unexpected end"},
		{TEXT("x"), 0, "expected a value"},
		{TEXT("hello"), 0, "expected a value"},
		{TEXT("\xEF\xBB\xBF[]"), 0, "expected a value"},
		{TEXT("tru"), 3, "unexpected end"},
		{TEXT("trve"), 2, "expected a value"},
		{TEXT("nul l"), 3, "expected a value"},
		{TEXT("truee"), 4, "expected nothing more"},
		{TEXT("[] []"), 3, "expected nothing more"},
		{TEXT("1 2"), 2, "expected nothing more"},
		{TEXT("\"a\"\0"), 3, "expected nothing more"},
		{TEXT("[1,]"), 3, "expected a value"},
		{TEXT("[,1]"), 1, "expected a value"},
		{TEXT("[1 2]"), 3, "expected a comma or ]"},
		{TEXT("[1}"), 2, "expected a comma or ]"},
		{TEXT("]"), 0, "expected a value"},
		{TEXT("{1:2}"), 1, "expected a member's name"},
		{TEXT("{,}"), 1, "expected a member's name"},
		{TEXT("{\"a\":1,}"), 7, "expected a member's name"},
		{TEXT("{\"a\" 1}"), 5, "expected a colon"},
		{TEXT("{\"a\":}"), 5, "expected a value"},
		{TEXT("{\"a\":1]"), 6, "expected a comma or }"},
		{TEXT("{\"a\":1"), 6, "unexpected end"},
		{TEXT("[[[]"), 4, "unexpected end"},
		{TEXT("01"), 1, "bad number"},
		{TEXT("-"), 1, "unexpected end"},
		{TEXT("-a"), 1, "bad number"},
		{TEXT("+1"), 0, "expected a value"},
		{TEXT(".5"), 0, "expected a value"},
		{TEXT("1."), 2, "unexpected end"},
		{TEXT("1.e1"), 2, "bad number"},
		{TEXT("1e+x"), 3, "bad number"},
		{TEXT("[-01]"), 3, "bad number"},
		{TEXT("0x10"), 1, "expected nothing more"},
		{TEXT("\"abc"), 4, "unexpected end"},
		{TEXT("\"a\nb\""), 2, "control character in a string"},
		{TEXT("\"a\0b\""), 2, "control character in a string"},
		{TEXT("{\"a\tb\":1}"), 3, "control character in a string"},
		{TEXT("\"\\x\""), 2, "bad escape"},
		{TEXT("\"\\"), 2, "unexpected end"},
		{TEXT("\"\\U0041\""), 2, "bad escape"},
		{TEXT("\"\\\0\""), 2, "bad escape"},
		{TEXT("\"\\u00g0\""), 5, "bad \\u escape"},
		{TEXT("\"\\u00\""), 5, "bad \\u escape"},
		{TEXT("\"\\u00"), 5, "unexpected end"},
		{TEXT("\"ab\\ud800\""), 3, "unpaired surrogate"},
		{TEXT("\"ab\\udc00\""), 3, "unpaired surrogate"},
		{TEXT("\"\\udc00\\ud800\""), 1, "unpaired surrogate"},
		{TEXT("\"\\ud800\\ud800\\udc00\""), 1, "unpaired surrogate"},
		{TEXT("\"\\ud800\\n\""), 1, "unpaired surrogate"},
		{TEXT("\"\\ud800\\u12\""), 11, "bad \\u escape"},
		{TEXT("\"\\ud83dx\""), 1, "unpaired surrogate"},
		{TEXT("{\"\\ud800\":1}"), 2, "unpaired surrogate"},
		{TEXT("\xFF"), 0, "invalid UTF-8"},
		{TEXT("[]\xFF"), 2, "invalid UTF-8"},
		{TEXT("\"a\xFF\""), 2, "invalid UTF-8"},
		{TEXT("\"a\xE2\x82\""), 2, "invalid UTF-8"},
		{TEXT("\"a\xE2\x82"), 2, "invalid UTF-8"},
		{TEXT("\"\xC0\x80\""), 1, "invalid UTF-8"},
		{TEXT("\"\xED\xA0\x80\""), 1, "invalid UTF-8"},
		{TEXT("\"\xF4\x90\x80\x80\""), 1, "invalid UTF-8"},
		{TEXT("{\"é\xFF\":1}"), 4, "invalid UTF-8"},
		{TEXT("12\xFF"), 2, "invalid UTF-8"},
		{TEXT("nu\xFF"), 2, "invalid UTF-8"},
		{TEXT("x\xFF"), 0, "expected a value"},
	};
	struct fixture fixture = {.pipeline = {.n_steps = 1, .steps = {TRANSFORM_UPPER}}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(rewrite(&fixture, cases[i].message.data, cases[i].message.len),
				 -EBADMSG);
		if (fixture.error.position != cases[i].position ||
		    strcmp(fixture.error.reason, cases[i].reason) != 0)
			ck_abort_msg("%s: %s at %zu", cases[i].message.data, fixture.error.reason,
				     fixture.error.position);
	}
	fixture_done(&fixture);
}
END_TEST

START_TEST(test_error_answer)
{
	struct buffer out = {0};

	ck_assert_int_eq(payload_json_error(&out, &(struct payload_error){12, "expected a colon"}),
			 0);
	ck_assert_int_eq(
		payload_json_error(&out, &(struct payload_error){SIZE_MAX, "bad \\u \"escape\""}),
		0);
	ck_assert_int_eq(buffer_append(&out, "", 1), 0);
	ck_assert_str_eq((char *)out.data,
			 "{\"error\":\"bad_json\",\"message\":\"expected a colon at byte 12\"}"
			 "{\"error\":\"bad_json\",\"message\":\"bad \\\\u \\\"escape\\\" at byte "
			 "18446744073709551615\"}");
	buffer_done(&out);
}
END_TEST

static const char document[] =
	" {\"a\\u00e9\" : [1.10, -2e+3, \"stra\\u00dfe \\ud83d\\udc4d\", true, {}], "
	"\"b\\\"\":{\"c\":null,\"d\":false, \"привет\":\"мир\\n\"}, \"e\":[[],[[\"x\"]]]}";

/* A document that is cut anywhere is an error at its end, or of UTF-8 or a pair that is cut. */
START_TEST(test_truncated)
{
	struct fixture fixture = {.pipeline = {.n_steps = 1, .steps = {TRANSFORM_REVERSE}}};
	size_t len = sizeof(document) - 1;

	for (size_t n = 0; n < len; n++) {
		size_t end = n - text_cut_suffix((const uint8_t *)document, n);

		ck_assert_int_eq(rewrite(&fixture, document, n), -EBADMSG);
		if (strcmp(fixture.error.reason, "unpaired surrogate") != 0)
			ck_assert_uint_eq(fixture.error.position, end);
	}
	ck_assert_int_eq(rewrite(&fixture, document, len), 0);
	fixture_done(&fixture);
}
END_TEST

START_TEST(test_deep)
{
	enum { DEPTH = 100000 };
	struct fixture fixture = {.pipeline = {.n_steps = 1, .steps = {TRANSFORM_UPPER}}};
	CLEANUP(freep) char *message = malloc(DEPTH * 6 + 2);
	char *p = message, *q;
	size_t len;

	/* [{"":[{"": … "x" … }]}] */
	for (int i = 0; i < DEPTH; i++)
		p = mempcpy(p, i % 2 ? "{\"\":" : "[", i % 2 ? 4 : 1);
	*p++ = '1';
	q = p;
	for (int i = DEPTH; i-- > 0;)
		*p++ = i % 2 ? '}' : ']';
	len = (size_t)(p - message);

	ck_assert_int_eq(rewrite(&fixture, message, len), 0);
	ck_assert_uint_eq(fixture.out.len, len);
	ck_assert(memcmp(fixture.out.data, message, len) == 0);

	ck_assert_int_eq(rewrite(&fixture, message, len - 1), -EBADMSG);
	ck_assert_uint_eq(fixture.error.position, len - 1);
	*q ^= '}' ^ ']'; /* the innermost bracket closed by the wrong one */
	ck_assert_int_eq(rewrite(&fixture, message, len), -EBADMSG);
	ck_assert_uint_eq(fixture.error.position, (size_t)(q - message));
	fixture_done(&fixture);
}
END_TEST

/* Says whether jansson takes message for JSON; *ret_value is NULL if it cannot tell. */
static bool jansson_accepts(const char *message, size_t len, json_t **ret_value, bool *ret_sure)
{
	json_error_t error;

	*ret_value = json_loadb(message, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
	*ret_sure = *ret_value || (json_error_code(&error) != json_error_numeric_overflow &&
				   json_error_code(&error) != json_error_null_byte_in_key &&
				   json_error_code(&error) != json_error_stack_overflow);
	return *ret_value != NULL;
}

static void compare_with_jansson(struct fixture *fixture, const char *message, size_t len)
{
	json_t *value, *again;
	bool sure, accepted = jansson_accepts(message, len, &value, &sure);
	int r = rewrite(fixture, message, len);

	if (sure && accepted != (r == 0))
		ck_abort_msg("'%.*s': %d, %s", (int)len, message, r,
			     r < 0 ? fixture->error.reason : "");
	if (accepted) {
		/* Under an identity pipeline the answer means the same. */
		ck_assert(jansson_accepts((char *)fixture->out.data, fixture->out.len, &again,
					  &sure));
		ck_assert(json_equal(value, again));
		json_decref(again);
	}
	json_decref(value);
}

/* Documents with a few bytes changed, dropped, doubled or cut. */
START_TEST(test_jansson_mutations)
{
	static const char bytes[] = "{}[]:,\"\\/utrfn0123459.eE+-aDd8 \n\t\x01\x7F\xC3\xA9\xFF";
	struct fixture fixture = {0};
	uint32_t random = 5;

	for (int round = 0; round < 100000; round++) {
		char message[2 * sizeof(document)];
		size_t len = sizeof(document) - 1, from = random_next(&random) % len;

		len = 1 + random_next(&random) % (len - from);
		if (round % 2) {
			from = 0;
			len = sizeof(document) - 1;
		}
		memcpy(message, document + from, len);
		for (unsigned i = random_next(&random) % 4; i > 0 && len > 1; i--) {
			size_t at = random_next(&random) % len;
			char byte = bytes[random_next(&random) % (sizeof(bytes) - 1)];

			switch (random_next(&random) % 3) {
			case 0:
				message[at] = byte;
				break;
			case 1:
				memmove(message + at, message + at + 1, --len - at);
				break;
			default:
				memmove(message + at + 1, message + at, len++ - at);
				message[at] = byte;
				break;
			}
		}
		compare_with_jansson(&fixture, message, len);
	}
	fixture_done(&fixture);
}
END_TEST

/* Tokens in any order, which come near to what is JSON. */
START_TEST(test_jansson_tokens)
{
	static const char *const tokens[] = {
		"{",
		"}",
		"[",
		"]",
		":",
		",",
		"\"\"",
		"\"a\"",
		"1",
		"-0.5",
		"1E2",
		"true",
		"null",
		" ",
		"\"\\u00e9\"",
		"\"\\n\"",
		"0",
		"-",
		".",
		"e",
		"\"",
		"\\",
		"\"\\ud83d\\udc4d\"",
		"\\ud83d",
		"\\u",
		"false",
		"\n",
		"\"é\"",
		"\"k\":",
		"[]",
		"{}",
		"u0041",
	};
	struct fixture fixture = {0};
	uint32_t random = 6;

	for (int round = 0; round < 200000; round++) {
		char message[256];
		size_t len = 0;

		for (unsigned n = 1 + random_next(&random) % 8; n > 0; n--) {
			const char *token = tokens[random_next(&random) % ARRAY_SIZE(tokens)];

			memcpy(message + len, token, strlen(token));
			len += strlen(token);
		}
		compare_with_jansson(&fixture, message, len);
	}
	fixture_done(&fixture);
}
END_TEST

/* Strings of every length, with what must be escaped at every place. */
START_TEST(test_strings)
{
	struct fixture fixture = {0};
	char message[128];

	for (size_t len = 0; len <= 70; len++) {
		for (size_t at = 0; at < len; at++) {
			memset(message, 'x', sizeof(message));
			message[0] = message[len + 2] = '"';
			memcpy(message + 1 + at, "\\\"", 2);
			ck_assert_int_eq(rewrite(&fixture, message, len + 3), 0);
			ck_assert_uint_eq(fixture.out.len, len + 3);
			ck_assert(memcmp(fixture.out.data, message, len + 3) == 0);
			message[1 + at] = '\x1F';
			message[2 + at] = 'x';
			ck_assert_int_eq(rewrite(&fixture, message, len + 3), -EBADMSG);
			ck_assert_uint_eq(fixture.error.position, at + 1);
		}
	}
	fixture_done(&fixture);
}
END_TEST

/* Memory is kept: the same message again moves and grows none. */
START_TEST(test_memory_is_kept)
{
	struct fixture fixture = {.pipeline = {.n_steps = 1, .steps = {TRANSFORM_UPPER}}}, before;

	ck_assert_int_eq(rewrite(&fixture, document, sizeof(document) - 1), 0);
	before = fixture;
	ck_assert_int_eq(rewrite(&fixture, document, sizeof(document) - 1), 0);
	ck_assert_ptr_eq(fixture.memory.string.data, before.memory.string.data);
	ck_assert_ptr_eq(fixture.memory.nesting.data, before.memory.nesting.data);
	ck_assert_ptr_eq(fixture.scratch.result.data, before.scratch.result.data);
	ck_assert_ptr_eq(fixture.out.data, before.out.data);
	payload_scratch_done(&fixture.memory);
	ck_assert_ptr_null(fixture.memory.string.data);
	ck_assert_int_eq(rewrite(&fixture, document, sizeof(document) - 1), 0);
	fixture_done(&fixture);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("payload");
	TCase *tests = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, test_values);
	tcase_add_test(tests, test_errors);
	tcase_add_test(tests, test_error_answer);
	tcase_add_test(tests, test_truncated);
	tcase_add_test(tests, test_deep);
	tcase_add_test(tests, test_jansson_mutations);
	tcase_add_test(tests, test_jansson_tokens);
	tcase_add_test(tests, test_strings);
	tcase_add_test(tests, test_memory_is_kept);
	suite_add_tcase(suite, tests);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}

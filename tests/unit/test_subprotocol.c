/* Sub-protocols of WebSocket: the best of ours that is offered, in linear time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "web/subprotocol.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define OURS "chat.v2 chat.v1 plain"

/* The name, "" for none, "bad". */
static const char *choose(const char *ours, const char *first, const char *second)
{
	static char name[64];
	const crew_header fields[] = {
		{ CREW_BYTES("sec-websocket-PROTOCOL"), crew_str(first) },
		{ CREW_BYTES("Sec-WebSocket-Protocols"), CREW_BYTES("chat.v2") },
		{ CREW_BYTES("Sec-WebSocket-Protocol"), crew_str(second) },
	};
	crew_bytes chosen;
	int found = crew__subprotocol_choose(ours, fields, second ? 3 : 1, &chosen);
	if (found <= 0)
		return found == 0 ? "" : "bad";
	assert_true(chosen.data >= ours && chosen.data + chosen.len <= ours + strlen(ours));
	memcpy(name, chosen.data, chosen.len);
	name[chosen.len] = '\0';
	return name;
}

static void the_best_of_ours(void **state)
{
	(void)state;
	assert_string_equal(choose(OURS, "chat.v1", NULL), "chat.v1");
	assert_string_equal(choose(OURS, "plain, chat.v1, chat.v2", NULL), "chat.v2");
	assert_string_equal(choose(OURS, "plain,chat.v1", NULL), "chat.v1");
	assert_string_equal(choose(OURS, "\t plain \t,\tother ", NULL), "plain");
	assert_string_equal(choose(OURS, "plain", "chat.v1"), "chat.v1");
	assert_string_equal(choose(OURS, "chat.v1", "plain"), "chat.v1");
	assert_string_equal(choose(OURS, ",,plain,,", NULL), "plain");
	assert_string_equal(choose("  plain   chat ", "chat", NULL), "chat");
	assert_string_equal(choose(OURS, "", NULL), "");
	assert_string_equal(choose(OURS, " , ", NULL), "");
	assert_string_equal(choose(OURS, "Chat.v1", NULL), "");
	assert_string_equal(choose(OURS, "chat.v", NULL), "");
	assert_string_equal(choose(OURS, "chat.v11", NULL), "");
	assert_string_equal(choose("", "chat.v1", NULL), "");
	crew_bytes name;
	assert_int_equal(crew__subprotocol_choose(OURS, NULL, 0, &name), 0);
}

static void lists_that_are_none(void **state)
{
	(void)state;
	assert_string_equal(choose(OURS, "chat.v1 plain", NULL), "bad");
	assert_string_equal(choose(OURS, "chat.v1, a b", NULL), "bad");
	assert_string_equal(choose(OURS, "chat.v1;q=1", NULL), "bad");
	assert_string_equal(choose(OURS, "\"chat.v1\"", NULL), "bad");
	assert_string_equal(choose(OURS, "chat.v1\x01", NULL), "bad");
	assert_string_equal(choose(OURS, "\xff", NULL), "bad");
	assert_string_equal(choose(OURS, "chat.v1", "plain/1"), "bad");
}

static double seconds_for(const char *value)
{
	const crew_header field = { CREW_BYTES("Sec-WebSocket-Protocol"), crew_str(value) };
	crew_bytes name;
	clock_t began = clock();
	crew__subprotocol_choose(OURS, &field, 1, &name);
	return (double)(clock() - began) / CLOCKS_PER_SEC;
}

/* Looked at from each space anew, these would take hours. */
static void many_spaces_take_linear_time(void **state)
{
	(void)state;
	size_t size = 1 << 20;
	char *value = malloc(size + 1);
	memset(value, ' ', size);
	value[size] = '\0';
	assert_true(seconds_for(value) < 5);
	value[0] = 'a';
	assert_true(seconds_for(value) < 5);
	value[size - 1] = 'a';
	assert_true(seconds_for(value) < 5);
	for (size_t i = 0; i < size; i += 2)
		value[i] = i % 4 ? ',' : 'a';
	assert_true(seconds_for(value) < 5);
	free(value);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_best_of_ours),
		cmocka_unit_test(lists_that_are_none),
		cmocka_unit_test(many_spaces_take_linear_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

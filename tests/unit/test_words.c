/* test_words.c - what a worker has left of itself, read by who believes nothing of it. */
#include "stats/deaths.h"
#include "stats/words.h"

#include <stdarg.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void noise_is_tamed(void **state)
{
	struct crew__words *words = malloc(sizeof(*words));
	struct crew__fault fault;
	struct crew__stack stack;
	char text[256], frame[CREW__FRAME_TEXT_MAX];
	(void)state;
	assert_non_null(words);
	memset(words, 0xff, sizeof(*words));
	assert_int_equal(crew__words_copy(words, &fault, &stack), CREW__SAID_NOTHING);
	assert_int_equal(stack.frames, 0);
	atomic_store(&words->said, CREW__SAID_ALL);
	assert_int_equal(crew__words_copy(words, &fault, &stack), CREW__SAID_ALL);
	assert_int_equal(stack.frames, CREW__FRAMES);
	for (uint32_t i = 0; i < stack.frames; i++) {
		assert_int_equal(strlen(stack.frame[i].name), CREW__FRAME_MAX - 1);
		assert_int_equal(strspn(stack.frame[i].name, "?"), CREW__FRAME_MAX - 1);
		crew__frame_text(&stack.frame[i], frame);
	}
	crew__stack_text(&stack, text, sizeof(text));
	crew__fault_text(&fault, 1, text, sizeof(text));
	free(words);
}

static void names_that_were_not_finished_are_none(void **state)
{
	static struct crew__words words;
	struct crew__fault fault;
	struct crew__stack stack;
	char frame[CREW__FRAME_TEXT_MAX];
	(void)state;
	words.dying.frames = 1;
	words.dying.frame[0] = (struct crew__frame){ .address = 0xabc, .name = "half" };
	atomic_store(&words.said, CREW__SAID_WHERE);
	assert_int_equal(crew__words_copy(&words, &fault, &stack), CREW__SAID_WHERE);
	assert_string_equal(crew__frame_text(&stack.frame[0], frame), "0xabc");
}

static void a_stack_in_one_line(void **state)
{
	struct crew__stack stack = { .frames = 5,
		.frame = { { .name = "find+0x1 (shop+0x2)" }, { .name = "find+0x3 (shop+0x4)" },
			{ .name = "(libc.so.6+0x5)" }, { .name = "on_message+0x6 (shop+0x7)" },
			{ .name = "crew__loop_run+0x8 (shop+0x9)" } } };
	char text[64];
	(void)state;
	crew__stack_text(&stack, text, sizeof(text));
	assert_string_equal(text, "find < libc.so.6 < on_message");
	crew__stack_text(&stack, text, 12);
	assert_string_equal(text, "find");
}

static void faults_in_words(void **state)
{
	static const struct {
		struct crew__fault fault;
		const char *words;
	} rows[] = {
		{ { .signal = SIGSEGV, .code = SEGV_MAPERR, .address = 8 },
			"nothing is mapped at address 0x8" },
		{ { .signal = SIGSEGV, .code = SEGV_MAPERR, .address = 8, .overflow = 1 },
			"the stack overflowed (address 0x8)" },
		{ { .signal = SIGFPE, .code = FPE_INTDIV }, "division by zero" },
		{ { .signal = SIGABRT, .code = SI_TKILL, .sender = 7 },
			"it gave itself up (abort)" },
		{ { .signal = SIGSEGV, .code = SI_USER, .sender = 9, .sender_uid = 3 },
			"sent by pid 9 (uid 3)" },
		{ { .signal = 0 }, "" },
	};
	char text[128];
	(void)state;
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		crew__fault_text(&rows[i].fault, 7, text, sizeof(text));
		assert_string_equal(text, rows[i].words);
	}
}

static void the_last_deaths_the_newest_first(void **state)
{
	struct crew__deaths *deaths = calloc(1, sizeof(*deaths));
	static struct crew__death_entry copies[CREW__DEATHS];
	(void)state;
	assert_non_null(deaths);
	assert_int_equal(crew__deaths_read(deaths, copies, CREW__DEATHS), 0);
	for (int i = 1; i <= CREW__DEATHS + 3; i++) {
		const struct crew__death_entry entry = { .pid = i, .frames = 1, .words = "oh\nno" };
		crew__deaths_add(deaths, &entry);
	}
	assert_int_equal(crew__deaths_read(deaths, copies, CREW__DEATHS), CREW__DEATHS);
	assert_int_equal(copies[0].pid, CREW__DEATHS + 3);
	assert_int_equal(copies[CREW__DEATHS - 1].pid, 4);
	assert_string_equal(copies[0].words, "oh?no");
	memset(deaths->entries, 0xff, sizeof(deaths->entries));
	assert_int_equal(crew__deaths_read(deaths, copies, CREW__DEATHS), 0);
	free(deaths);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_is_tamed),
		cmocka_unit_test(names_that_were_not_finished_are_none),
		cmocka_unit_test(a_stack_in_one_line),
		cmocka_unit_test(faults_in_words),
		cmocka_unit_test(the_last_deaths_the_newest_first),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

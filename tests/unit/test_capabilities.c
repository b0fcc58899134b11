/* Names of capabilities: to sets and back. */
#include "service/capabilities.h"

#include <linux/capability.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define BIT(number) (UINT64_C(1) << (number))

static void names_are_bits_by_the_kernels_numbers(void **state)
{
	(void)state;
	const struct {
		const char *text;
		uint64_t set;
	} good[] = {
		{ "", 0 },
		{ "none", 0 },
		{ "chown", BIT(CAP_CHOWN) },
		{ "net_bind_service", BIT(CAP_NET_BIND_SERVICE) },
		{ "CAP_NET_RAW", BIT(CAP_NET_RAW) },
		{ " net_raw,  cap_sys_nice ", BIT(CAP_NET_RAW) | BIT(CAP_SYS_NICE) },
		{ "net_raw net_raw", BIT(CAP_NET_RAW) },
		{ "checkpoint_restore", BIT(40) },
		{ "bpf setfcap audit_read", BIT(CAP_BPF) | BIT(CAP_SETFCAP) | BIT(CAP_AUDIT_READ) },
	};
	for (size_t i = 0; i < crew__lengthof(good); i++) {
		uint64_t set = 77;
		char bad[32];
		assert_int_equal(crew__capabilities_parse(good[i].text, &set, bad), 0);
		assert_int_equal(set, good[i].set);
	}
}

static void what_is_no_name_is_told(void **state)
{
	(void)state;
	static const char *const wrong[][2] = {
		{ "net_raw net_rwa", "net_rwa" },
		{ "all", "all" },
		{ "none net_raw", "net_raw" },
		{ "net_raw none", "none" },
		{ "cap_", "cap_" },
		{ "a_word_that_is_longer_than_any_name_there_is",
			"a_word_that_is_longer_than_any_" },
	};
	for (size_t i = 0; i < crew__lengthof(wrong); i++) {
		uint64_t set = 77;
		char bad[32] = "";
		assert_int_equal(crew__capabilities_parse(wrong[i][0], &set, bad), -EINVAL);
		assert_string_equal(bad, wrong[i][1]);
		assert_int_equal(set, 77);
	}
	assert_string_equal(crew__capability_nearest("net_rwa"), "net_raw");
	assert_string_equal(crew__capability_nearest("cap_net_bind_servic"), "net_bind_service");
	assert_null(crew__capability_nearest("xylophone"));
}

static void text_reads_back(void **state)
{
	(void)state;
	char text[1024], bad[32];
	uint64_t set, all = BIT(41) - 1;
	crew__capabilities_text(all, text, sizeof(text));
	assert_int_equal(crew__capabilities_parse(text, &set, bad), 0);
	assert_int_equal(set, all);
	crew__capabilities_text(0, text, sizeof(text));
	assert_string_equal(text, "none");
	crew__capabilities_text(BIT(CAP_NET_RAW) | BIT(60), text, sizeof(text));
	assert_string_equal(text, "net_raw 60");
	crew__capabilities_text(all, text, 10); /* cut, never beyond */
	assert_int_equal(strlen(text), 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_bits_by_the_kernels_numbers),
		cmocka_unit_test(what_is_no_name_is_told),
		cmocka_unit_test(text_reads_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

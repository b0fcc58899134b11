/* The words of cpu_affinity, and which worker gets which processor. */
#include "service/cpus.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static cpu_set_t set_of(const char *list)
{
	struct crew__cpus cpus;
	assert_int_equal(crew__cpus_parse(list, &cpus), 0);
	return cpus.set;
}

static void expect(const cpu_set_t *set, const char *expected)
{
	char text[128];
	crew__cpus_text(set, text, sizeof(text));
	assert_string_equal(text, expected);
}

static void lists(void **state)
{
	(void)state;
	static const char *const good[][2] = { { "0", "0" }, { "0-3,6", "0-3,6" },
		{ "6,0-3", "0-3,6" }, { "1,2,3", "1-3" }, { "1023", "1023" }, { "5-5", "5" } };
	static const char *const bad[] = { "", "-", "1-", "-1", "1,", ",1", "3-1", "a", "1 2",
		"0-3;", "each", "each ", "auto 1", "1,,2", "0x1" };
	for (size_t i = 0; i < crew__lengthof(good); i++) {
		struct crew__cpus cpus;
		assert_int_equal(crew__cpus_parse(good[i][0], &cpus), 0);
		assert_false(cpus.each || cpus.automatic);
		expect(&cpus.set, good[i][1]);
	}
	for (size_t i = 0; i < crew__lengthof(bad); i++) {
		struct crew__cpus cpus;
		assert_int_equal(crew__cpus_parse(bad[i], &cpus), -EINVAL);
	}
	struct crew__cpus cpus;
	assert_int_equal(crew__cpus_parse("1024", &cpus), -ERANGE);
	assert_int_equal(crew__cpus_parse("0-999999", &cpus), -ERANGE);
	assert_int_equal(crew__cpus_parse("99999999999999999999", &cpus), -EINVAL);
}

static void all_share_a_list(void **state)
{
	(void)state;
	struct crew__cpus cpus;
	cpu_set_t usable = set_of("0-7");
	assert_int_equal(crew__cpus_parse("2-3,9", &cpus), 0);
	for (unsigned place = 0; place < 5; place++) {
		cpu_set_t set = crew__cpus_for(&cpus, &usable, place);
		expect(&set, "2-3");
	}
	assert_int_equal(crew__cpus_parse("9", &cpus), 0);
	cpu_set_t none = crew__cpus_for(&cpus, &usable, 0);
	assert_int_equal(CPU_COUNT(&none), 0);
}

static void one_each(void **state)
{
	(void)state;
	static const char *const of_list[] = { "2", "3", "6", "2", "3" };
	static const char *const of_all[] = { "1", "4", "7", "1", "4" };
	struct crew__cpus list, automatic;
	cpu_set_t usable = set_of("0-7"), odd = set_of("1,4,7");
	assert_int_equal(crew__cpus_parse("each  2-3,6", &list), 0);
	assert_int_equal(crew__cpus_parse("auto", &automatic), 0);
	assert_true(list.each && !list.automatic && automatic.each && automatic.automatic);
	for (unsigned place = 0; place < 5; place++) {
		cpu_set_t set = crew__cpus_for(&list, &usable, place);
		expect(&set, of_list[place]);
		set = crew__cpus_for(&automatic, &odd, place);
		expect(&set, of_all[place]);
	}
}

static void text_is_cut(void **state)
{
	(void)state;
	char text[6];
	cpu_set_t set = set_of("0,2,4,6,8,10-1000");
	crew__cpus_text(&set, text, sizeof(text));
	assert_string_equal(text, "0,2,4");
	cpu_set_t usable;
	assert_int_equal(crew__cpus_usable(&usable), 0);
	assert_true(CPU_COUNT(&usable) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lists),
		cmocka_unit_test(all_share_a_list),
		cmocka_unit_test(one_each),
		cmocka_unit_test(text_is_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

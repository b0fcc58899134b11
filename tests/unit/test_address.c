/* Addresses: what is understood, what is refused and how, what is shown. */
#include "net/address.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char error[512];

static struct crew__address parse(const char *text)
{
	struct crew__address address;
	error[0] = '\0';
	if (crew__address_parse(text, "/run/shop", &address, error, sizeof(error)))
		fail_msg("%s: %s", text, error);
	return address;
}

static const char *kernel_text(const struct crew__address *address)
{
	static char text[128];
	struct crew__record_address record;
	crew__address_record((const struct sockaddr *)&address->socket, &record);
	crew__address_text(&record, text, sizeof(text));
	return text;
}

/* ---- parsing ----------------------------------------------------------------------------------
 */

static void addresses_of_tcp(void **state)
{
	(void)state;
	static const struct {
		const char *text, *scheme, *kernel;
		bool every;
	} rows[] = {
		{ "tcp://127.0.0.1:7001", "tcp", "127.0.0.1:7001", false },
		{ "ws://localhost:80", "ws", "127.0.0.1:80", false },
		{ "frame://0.0.0.0:1", "frame", "0.0.0.0:1", false },
		{ "http://[::1]:8080", "http", "[::1]:8080", false },
		{ "http://[::]:8080", "http", "[::]:8080", false },
		{ "text://:65535", "text", "[::]:65535", true },
		{ "text://*:00080", "text", "[::]:80", true },
		{ "mine2://127.0.0.1:0", "mine2", "127.0.0.1:0", false },
		{ "tcp://[fe80::1%lo]:9", "tcp", "[fe80::1%1]:9", false },
		{ "tcp://[fe80::1%77]:9", "tcp", "[fe80::1%77]:9", false },
		{ "tcp://[::ffff:127.0.0.1]:9", "tcp", "127.0.0.1:9", false },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address address = parse(rows[i].text);
		assert_int_equal(address.transport, CREW__TCP);
		assert_string_equal(address.scheme, rows[i].scheme);
		assert_string_equal(kernel_text(&address), rows[i].kernel);
		assert_int_equal(address.every, rows[i].every);
		assert_string_equal(address.text, rows[i].text);
	}
}

static const char *path_of(const struct crew__address *address)
{
	return ((const struct sockaddr_un *)(const void *)&address->socket)->sun_path;
}

static void addresses_of_unix_sockets(void **state)
{
	(void)state;
	struct crew__address address = parse("unix:///tmp/a.sock");
	assert_int_equal(address.transport, CREW__UNIX);
	assert_string_equal(address.scheme, "tcp");
	assert_string_equal(path_of(&address), "/tmp/a.sock");
	assert_string_equal(address.text, "unix:///tmp/a.sock");
	address = parse("text+unix://RUNDIR/side.sock");
	assert_string_equal(address.scheme, "text");
	assert_string_equal(path_of(&address), "/run/shop/side.sock");
	assert_string_equal(address.text, "text+unix:///run/shop/side.sock");
	/* Only a leading RUNDIR/ is the run directory. */
	address = parse("unix:///RUNDIR/x");
	assert_string_equal(path_of(&address), "/RUNDIR/x");
	char cwd[4096], expected[4200];
	assert_int_equal(chdir("/tmp"), 0);
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	snprintf(expected, sizeof(expected), "%s/b.sock", cwd);
	address = parse("unix://b.sock");
	assert_string_equal(path_of(&address), expected);
}

static void a_path_has_a_longest_length(void **state)
{
	(void)state;
	char text[300] = "ws+unix:///";
	struct crew__address address;
	memset(text + 11, 'x', 106);
	address = parse(text);
	assert_int_equal(strlen(path_of(&address)), 107);
	assert_string_equal(address.text, text);
	text[11 + 106] = 'x';
	assert_int_equal(
		crew__address_parse(text, "/r", &address, error, sizeof(error)), -ENAMETOOLONG);
	assert_non_null(strstr(error, "too long"));
	assert_non_null(strstr(error, "108"));
	/* The run directory may be what makes it long. */
	char run_dir[200];
	memset(run_dir, 'r', sizeof(run_dir) - 1);
	run_dir[0] = '/';
	run_dir[sizeof(run_dir) - 1] = '\0';
	assert_int_equal(
		crew__address_parse("unix://RUNDIR/a", run_dir, &address, error, sizeof(error)),
		-ENAMETOOLONG);
}

static void what_is_no_address(void **state)
{
	(void)state;
	static const struct {
		const char *text, *word;
	} rows[] = {
		{ "", "scheme" },
		{ "nonsense", "nonsense" },
		{ "127.0.0.1:80", "scheme" },
		{ "://127.0.0.1:80", "scheme" },
		{ "TCP://127.0.0.1:80", "lower-case" },
		{ "t cp://127.0.0.1:80", "lower-case" },
		{ "a-scheme-that-is-rather-too-long-for-us://127.0.0.1:80", "too long" },
		{ "tcp://", "no port" },
		{ "tcp://127.0.0.1", "127.0.0.1" },
		{ "tcp://127.0.0.1:", "port is missing" },
		{ "tcp://127.0.0.1:99999", "99999" },
		{ "tcp://127.0.0.1:65536", "65536" },
		{ "tcp://127.0.0.1:-1", "-1" },
		{ "tcp://127.0.0.1:+1", "+1" },
		{ "tcp://127.0.0.1: 80", " 80" },
		{ "tcp://127.0.0.1:80/", "80/" },
		{ "tcp://127.0.0.1:080808", "080808" },
		{ "tcp://127.0.0.1:http", "http" },
		{ "tcp://no.such.host:80", "no.such.host" },
		{ "tcp://127.1:80", "127.1" },
		{ "tcp://256.0.0.1:80", "256.0.0.1" },
		{ "tcp:// :80", "numeric" },
		{ "tcp://::1:80", "brackets" },
		{ "tcp://[::1:80", "bracket" },
		{ "tcp://[::1]", "no port" },
		{ "tcp://[::1]80", "no port" },
		{ "tcp://[]:80", "IPv6" },
		{ "tcp://[127.0.0.1]:80", "IPv6" },
		{ "tcp://[fe80::1%nosuchzone]:80", "nosuchzone" },
		{ "tcp://[fe80::1%]:80", "interface" },
		{ "tcp://[fe80::1%99999999999]:80", "interface" },
		{ "unix://", "path" },
		{ "unix://RUNDIR/", "path" },
		{ "+unix://", "lower-case" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address address;
		int status = crew__address_parse(
			rows[i].text, "/run/shop", &address, error, sizeof(error));
		if (status != -EINVAL)
			fail_msg("'%s' gave %d", rows[i].text, status);
		if (!strstr(error, rows[i].word))
			fail_msg("'%s' gave: %s", rows[i].text, error);
		assert_null(strchr(error, '\n'));
	}
}

/* Random bytes, or bytes that mean something in the wrong places. */
static void random_addresses_harm_nobody(void **state)
{
	(void)state;
	static const char *const pieces[] = { "tcp", "unix", "+", "://", ":", "[", "]", "%", "::1",
		"127.0.0.1", "RUNDIR/", "/", "80", "*", "lo", "\xff", "99999999999", "%s%n" };
	srandom(3);
	unsigned good = 0;
	for (int round = 0; round < 50000; round++) {
		char text[512] = "";
		struct crew__address address;
		for (int i = 0; i < 1 + round % 9; i++)
			strcat(text, pieces[(size_t)random() % crew__lengthof(pieces)]);
		char small[8];
		if (!crew__address_parse(text, "/run/shop", &address, small, sizeof(small)))
			good++;
		else
			assert_true(strlen(small) < sizeof(small));
	}
	assert_true(good > 0);
}

/* ---- text --------------------------------------------------------------------------------------
 */

static void records_as_text(void **state)
{
	(void)state;
	struct crew__record_address record;
	struct sockaddr_un none = { .sun_family = AF_UNIX };
	char text[64];
	crew__address_record((struct sockaddr *)&none, &record);
	assert_int_equal(crew__address_text(&record, text, sizeof(text)), 5);
	assert_string_equal(text, "unix:");
	struct crew__address address = parse("tcp://127.0.0.1:4567");
	crew__address_record((struct sockaddr *)&address.socket, &record);
	assert_int_equal(crew__address_text(&record, text, sizeof(text)), 14);
	/* As snprintf. */
	assert_int_equal(crew__address_text(&record, text, 4), 14);
	assert_string_equal(text, "127");
	assert_int_equal(crew__address_text(&record, NULL, 0), 14);
	crew__address_record(NULL, &record);
	crew__address_text(&record, text, sizeof(text));
	assert_string_equal(text, "?");
	memset(&record, 0xff, sizeof(record));
	crew__address_text(&record, text, sizeof(text));
	assert_string_equal(text, "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(addresses_of_tcp),
		cmocka_unit_test(addresses_of_unix_sockets),
		cmocka_unit_test(a_path_has_a_longest_length),
		cmocka_unit_test(what_is_no_address),
		cmocka_unit_test(random_addresses_harm_nobody),
		cmocka_unit_test(records_as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

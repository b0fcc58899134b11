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

static void what_a_scheme_says(void **state)
{
	(void)state;
	static const struct {
		const char *text, *scheme;
		enum crew__transport_kind transport;
		bool tls;
	} rows[] = {
		{ "tls://127.0.0.1:1", "tcp", CREW__TCP, true },
		{ "https://:1", "http", CREW__TCP, true },
		{ "wss://[::1]:1", "ws", CREW__TCP, true },
		{ "wss+unix:///a", "ws", CREW__UNIX, true },
		{ "http://:1", "http", CREW__TCP, false },
		{ "tlsx://:1", "tlsx", CREW__TCP, false },
		{ "udp://:1", "udp", CREW__UDP, false },
		{ "mine+udp://127.0.0.1:1", "mine", CREW__UDP, false },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address address = parse(rows[i].text);
		assert_string_equal(address.scheme, rows[i].scheme);
		assert_int_equal(address.transport, rows[i].transport);
		assert_int_equal(address.tls, rows[i].tls);
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
		{ "+udp://:1", "lower-case" },
		{ "https+udp://:1", "stream" },
		{ "a+unix+udp://:1", "lower-case" },
		{ "tcp+udp://:1", "write tcp:// or udp://" },
		{ "unix:///a\nb", "\"unix:///a?b\" has a control character" },
		{ "unix:///a\x7f", "control" },
		{ "tcp://127.0.0.1:80?backlog=1\n", "control" },
		{ "unix://@", "name behind @" },
		{ "unix://@?backlog=1", "name behind @" },
		{ "unix:///a%", "hexadecimal" },
		{ "unix:///a%4", "hexadecimal" },
		{ "unix:///a%4g", "hexadecimal" },
		{ "unix:///a%00", "hexadecimal" },
		{ "unix://@a%00b", "hexadecimal" },
		{ "unix://?mode=0600", "path" },
		{ "tcp://127.0.0.1:80?", "option is missing" },
		{ "tcp://127.0.0.1:80?bakclog=5", "did you mean \"backlog\"" },
		{ "tcp://127.0.0.1:80?mode=0600", "TCP" },
		{ "tcp://127.0.0.1:80?v6only", "v6only" },
		{ "unix://@a?mode=0600", "abstract" },
		{ "unix:///a?v6only", "v6only" },
		{ "udp://:80?backlog=5", "UDP" },
		{ "tcp://127.0.0.1?backlog=5", "no port" },
		{ "tcp?://127.0.0.1:80", "scheme" },
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

static void abstract_names(void **state)
{
	(void)state;
	struct crew__address address = parse("ws+unix://@a%20name%40%ff");
	struct sockaddr_un socket;
	memcpy(&socket, &address.socket, sizeof(socket));
	assert_true(address.abstract);
	assert_int_equal(socket.sun_path[0], 0);
	assert_memory_equal(socket.sun_path + 1, "a name@\xff", 8);
	assert_int_equal(address.socket_size, offsetof(struct sockaddr_un, sun_path) + 9);
	assert_string_equal(address.text, "ws+unix://@a%20name@%FF");
	/* A path may begin with that sign too. */
	assert_int_equal(chdir("/"), 0);
	address = parse("unix://%40a");
	assert_false(address.abstract);
	assert_string_equal(path_of(&address), "//@a");
	address = parse("unix:///@a");
	assert_false(address.abstract);
	char text[300] = "unix://@";
	memset(text + 8, 'x', 107);
	address = parse(text);
	assert_int_equal(address.socket_size, sizeof(struct sockaddr_un));
	text[8 + 107] = 'x';
	assert_int_equal(
		crew__address_parse(text, "/r", &address, error, sizeof(error)), -ENAMETOOLONG);
	assert_non_null(strstr(error, "the name"));
}

static void paths_with_odd_bytes(void **state)
{
	(void)state;
	struct crew__address address = parse("unix:///tmp/a%3fb%20c%25?backlog=7");
	assert_string_equal(path_of(&address), "/tmp/a?b c%");
	assert_int_equal(crew__option_or(&address.options, CREW__OPTION_backlog, 0), 7);
	assert_string_equal(address.text, "unix:///tmp/a%3Fb%20c%25");
	/* What is shown means the same place again. */
	struct crew__address again = parse(address.text);
	assert_true(crew__address_same(&address, &again));
	/* The longest of all. */
	char text[512] = "unix:///";
	for (int i = 0; i < 106; i++)
		strcat(text, "%20");
	address = parse(text);
	assert_int_equal(strlen(path_of(&address)), 107);
	assert_string_equal(address.text, text);
	strcat(text, "%20");
	assert_int_equal(
		crew__address_parse(text, "/r", &address, error, sizeof(error)), -ENAMETOOLONG);
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(crew__address_parse(text, "/r", &address, error, sizeof(error)), -EINVAL);
}

/* ---- several ----------------------------------------------------------------------------------
 */

static int parse_all(const char *text, struct crew__address *addresses, size_t *count)
{
	error[0] = '\0';
	return crew__addresses_parse(text, "/run/shop", addresses, count, error, sizeof(error));
}

static void several_addresses(void **state)
{
	(void)state;
	struct crew__address addresses[CREW__ADDRESSES_MAX];
	char text[300];
	size_t count = 0;
	assert_int_equal(parse_all("  ws://127.0.0.1:80 \t ws+unix://RUNDIR/x?mode=0600 "
				   "ws://[::1]:80?dscp=4\tws+unix://@x ",
				 addresses, &count),
		0);
	assert_int_equal(count, 4);
	size_t length = crew__addresses_text(
		addresses, sizeof(addresses[0]), count, text, sizeof(text));
	assert_int_equal(length, strlen(text));
	assert_string_equal(
		text, "ws://127.0.0.1:80 ws+unix:///run/shop/x ws://[::1]:80 ws+unix://@x");
	assert_int_equal(parse_all("tcp://:0 tcp://:0", addresses, &count), 0);
	assert_int_equal(count, 2);
	assert_int_equal(parse_all("tcp://:1", addresses, &count), 0);
	assert_int_equal(count, 1);
}

static void what_cannot_be_together(void **state)
{
	(void)state;
	static const struct {
		const char *text, *words;
	} rows[] = {
		{ "", "no address" },
		{ " \t ", "no address" },
		{ "ws://:80 http://:81", "two schemes" },
		{ "http://:80 https://:443", "two schemes" },
		{ "mine://:80 mine+udp://:80", "two schemes" },
		{ "tcp://:80 tcp://:80", "stands there twice" },
		{ "tcp://:80?backlog=1 tcp://:80?backlog=2", "stands there twice" },
		{ "unix:///a unix:///b unix:///a", "unix:///a stands there twice" },
		{ "unix://@a unix://%40a unix://@a", "twice" },
		{ "tcp://:80 nonsense", "nonsense" },
		{ "tcp://:1 tcp://:2 tcp://:3 tcp://:4 tcp://:5 tcp://:6 tcp://:7 tcp://:8 "
		  "tcp://:9 tcp://:10 tcp://:11 tcp://:12 tcp://:13 tcp://:14 tcp://:15 tcp://:16 "
		  "tcp://:17",
			"at most 16" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct crew__address addresses[CREW__ADDRESSES_MAX];
		size_t count = 77;
		int status = parse_all(rows[i].text, addresses, &count);
		if (status != -EINVAL || !strstr(error, rows[i].words))
			fail_msg("'%s' gave %d: %s", rows[i].text, status, error);
		assert_int_equal(count, 77);
	}
}

/* One of more bytes than an address can have is refused before it is copied. */
static void a_very_long_word(void **state)
{
	(void)state;
	static char text[5000];
	struct crew__address addresses[CREW__ADDRESSES_MAX];
	size_t count;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(parse_all(text, addresses, &count), -ENAMETOOLONG);
	assert_non_null(strstr(error, "too long"));
}

/* What has no room is counted, never cut. */
static void text_of_many(void **state)
{
	(void)state;
	struct crew__address addresses[CREW__ADDRESSES_MAX];
	size_t count;
	assert_int_equal(
		parse_all("tcp://:11 tcp://:12 tcp://:13 tcp://:14", addresses, &count), 0);
	static const struct {
		size_t room;
		const char *expected;
	} rows[] = {
		{ 40, "tcp://:11 tcp://:12 tcp://:13 tcp://:14" },
		{ 39, "tcp://:11 tcp://:12 and 2 more" },
		{ 32, "tcp://:11 tcp://:12 and 2 more" },
		{ 31, "tcp://:11 and 3 more" },
		{ 22, "tcp://:11 and 3 more" },
		{ 21, "and 4 more" },
		{ 13, "and 4 more" },
		{ 12, "" },
		{ 1, "" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		char text[64];
		memset(text, '#', sizeof(text));
		crew__addresses_text(addresses, sizeof(addresses[0]), count, text, rows[i].room);
		assert_string_equal(text, rows[i].expected);
		assert_int_equal(text[rows[i].room], '#');
	}
}

/* Random bytes, or bytes that mean something in the wrong places. */
static void random_addresses_harm_nobody(void **state)
{
	(void)state;
	static const char *const pieces[] = { "tcp", "unix", "+", "://", ":", "[", "]", "%", "::1",
		"127.0.0.1", "RUNDIR/", "/", "80", "*", "lo", "\xff", "99999999999", "%s%n", "?",
		"&", "=", "backlog", "mode", "@", "%20", " ", "+udp" };
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
		struct crew__address several[CREW__ADDRESSES_MAX];
		size_t count;
		if (!crew__addresses_parse(
			    text, "/run/shop", several, &count, small, sizeof(small)))
			assert_true(count >= 1 && count <= CREW__ADDRESSES_MAX);
	}
	assert_true(good > 0);
}

/* ---- text --------------------------------------------------------------------------------------
 */

static socklen_t unix_socket(const char *bytes, size_t length, struct sockaddr_storage *ret_address)
{
	struct sockaddr_un socket = { .sun_family = AF_UNIX };
	memset(ret_address, 0, sizeof(*ret_address));
	memcpy(socket.sun_path, bytes, length);
	memcpy(ret_address, &socket, sizeof(socket));
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
}

/* What the kernel tells of the ends of a Unix connection. */
static void unix_sockets_as_text(void **state)
{
	(void)state;
	static const struct {
		const char *bytes;
		size_t length;
		const char *record, *full;
	} rows[] = {
		{ "", 0, "unix:", "unix:" },
		{ "\0", 1, "unix:", "unix:" },
		{ "/tmp/a b", 9, "unix:", "unix:/tmp/a%20b" },
		{ "/tmp/a", 6, "unix:", "unix:/tmp/a" },
		{ "\0name", 5, "unix:@name", "unix:@name" },
		{ "\0a\0b\x1b[0m", 8, "unix:@a%00b%1B[0m", "unix:@a%00b%1B[0m" },
		{ "\0aaaaaaaaaabbbbbbbbbb", 21, "unix:@aaaaaaaaaabbbbbbbbbb",
			"unix:@aaaaaaaaaabbbbbbbbbb" },
		{ "\0aaaaaaaaaabbbbbbbbbbc", 22, "unix:@aaaaaaaaaabbbbbbbbbb...",
			"unix:@aaaaaaaaaabbbbbbbbbbc" },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		struct sockaddr_storage address;
		struct crew__record_address record;
		char text[128];
		socklen_t size = unix_socket(rows[i].bytes, rows[i].length, &address);
		crew__address_record_of(&address, size, &record);
		assert_int_equal(record.family, AF_UNIX);
		size_t length = crew__address_text(&record, text, sizeof(text));
		assert_int_equal(length, strlen(text));
		assert_string_equal(text, rows[i].record);
		length = crew__address_unix_text(&address, size, text, sizeof(text));
		assert_string_equal(text, rows[i].full);
		assert_int_equal(length, strlen(text));
		assert_int_equal(crew__address_unix_text(&address, size, NULL, 0), length);
		char small[8];
		memset(small, '#', sizeof(small));
		assert_int_equal(crew__address_unix_text(&address, size, small, 7), length);
		assert_true(memchr(small, '\0', 7) && small[7] == '#');
	}
}

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
		cmocka_unit_test(what_a_scheme_says),
		cmocka_unit_test(addresses_of_unix_sockets),
		cmocka_unit_test(a_path_has_a_longest_length),
		cmocka_unit_test(what_is_no_address),
		cmocka_unit_test(random_addresses_harm_nobody),
		cmocka_unit_test(records_as_text),
		cmocka_unit_test(abstract_names),
		cmocka_unit_test(paths_with_odd_bytes),
		cmocka_unit_test(several_addresses),
		cmocka_unit_test(what_cannot_be_together),
		cmocka_unit_test(a_very_long_word),
		cmocka_unit_test(text_of_many),
		cmocka_unit_test(unix_sockets_as_text),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

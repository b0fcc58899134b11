/* Listening: the options of the sockets, who is in the way, and what may be removed. */
#include "net/address.h"
#include "net/address_open.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

static const char *path_of(const struct crew__address *address)
{
	return ((const struct sockaddr_un *)(const void *)&address->socket)->sun_path;
}

/* ---- listening on TCP --------------------------------------------------------------------------
 */

static int try_listen(const char *text, bool reuse_port, struct crew__address *address)
{
	*address = parse(text);
	return crew__address_listen(address, reuse_port, error, sizeof(error));
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t size = sizeof(value);
	assert_int_equal(getsockopt(fd, level, name, &value, &size), 0);
	return value;
}

static unsigned port_of(int fd)
{
	struct sockaddr_in6 bound;
	socklen_t size = sizeof(bound);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&bound, &size), 0);
	return ntohs(bound.sin6_port); /* the same place in both structs */
}

static int connect_to(const char *ip, unsigned port)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) };
	bool six = strchr(ip, ':');
	assert_int_equal(inet_pton(six ? AF_INET6 : AF_INET, ip,
				 six ? (void *)&to6.sin6_addr : &to.sin_addr),
		1);
	int fd = socket(six ? AF_INET6 : AF_INET, SOCK_STREAM, 0);
	assert_true(fd >= 0);
	int status = six ? connect(fd, (struct sockaddr *)&to6, sizeof(to6))
			 : connect(fd, (struct sockaddr *)&to, sizeof(to));
	if (status == 0)
		return fd;
	close(fd);
	return -1;
}

static void a_listening_socket_of_tcp(void **state)
{
	(void)state;
	struct crew__address address;
	int fd = try_listen("tcp://127.0.0.1:0", false, &address);
	assert_true(fd >= 0);
	assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_int_equal(option(fd, IPPROTO_TCP, TCP_NODELAY), 1);
	assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEADDR), 1);
	assert_int_equal(option(fd, SOL_SOCKET, SO_REUSEPORT), 0);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	int client = connect_to("127.0.0.1", port_of(fd));
	assert_true(client >= 0);
	int peer = accept(fd, NULL, NULL);
	assert_true(peer >= 0);
	assert_int_equal(option(peer, IPPROTO_TCP, TCP_NODELAY), 1);
	close(client);
	close(peer);
	close(fd);
}

static bool has_ipv6(void)
{
	struct crew__address address = parse("tcp://[::1]:0");
	int fd = crew__address_listen(&address, false, error, sizeof(error));
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static void every_address_is_both_families(void **state)
{
	(void)state;
	struct crew__address address;
	int fd = try_listen("tcp://:0", false, &address);
	assert_true(fd >= 0);
	int client = connect_to("127.0.0.1", port_of(fd));
	assert_true(client >= 0);
	close(client);
	if (has_ipv6()) {
		client = connect_to("::1", port_of(fd));
		assert_true(client >= 0);
		close(client);
	} else {
		assert_int_equal(address.socket.ss_family, AF_INET);
	}
	close(fd);
}

/* Who connects before a worker has looked at the listener gets what all get. */
static void the_first_to_connect_has_all_options(void **state)
{
	(void)state;
	struct crew__address address = parse("tcp://127.0.0.1:0");
	assert_int_equal(address.unsent_limit, 0);
	address.unsent_limit = 12345;
	int fd = crew__address_listen(&address, false, error, sizeof(error));
	assert_true(fd >= 0);
	int client = connect_to("127.0.0.1", port_of(fd)), accepted = -1;
	assert_true(client >= 0);
	while (accepted < 0)
		accepted = accept(fd, NULL, NULL);
	assert_int_equal(option(accepted, IPPROTO_TCP, TCP_NOTSENT_LOWAT), 12345);
	assert_int_not_equal(option(accepted, IPPROTO_TCP, TCP_NODELAY), 0);
	close(accepted);
	close(client);
	close(fd);
}

static void ipv6_alone_is_ipv6_alone(void **state)
{
	(void)state;
	struct crew__address address;
	if (!has_ipv6())
		skip();
	int fd = try_listen("tcp://[::]:0", false, &address);
	assert_true(fd >= 0);
	assert_int_equal(connect_to("127.0.0.1", port_of(fd)), -1);
	close(fd);
}

static void assert_in_use_by_me(unsigned port)
{
	char words[128], name[32] = "";
	FILE *file = fopen("/proc/self/comm", "r");
	assert_non_null(fgets(name, sizeof(name), file));
	fclose(file);
	name[strcspn(name, "\n")] = '\0';
	snprintf(words, sizeof(words), "port %u is in use by %s (pid %d)", port, name,
		(int)getpid());
	assert_string_equal(error, words);
}

static void a_port_in_use_names_its_holder(void **state)
{
	(void)state;
	struct crew__address address;
	char text[64];
	int holder = try_listen("tcp://127.0.0.1:0", false, &address);
	unsigned port = port_of(holder);
	snprintf(text, sizeof(text), "ws://127.0.0.1:%u", port);
	assert_int_equal(try_listen(text, false, &address), -EADDRINUSE);
	assert_in_use_by_me(port);
	assert_int_equal(try_listen(text, true, &address), -EADDRINUSE);
	/* Every address holds that one as well. */
	snprintf(text, sizeof(text), "ws://:%u", port);
	assert_int_equal(try_listen(text, false, &address), -EADDRINUSE);
	assert_in_use_by_me(port);
	close(holder);
	if (!has_ipv6())
		return;
	holder = try_listen("tcp://[::1]:0", false, &address);
	port = port_of(holder);
	snprintf(text, sizeof(text), "ws://[::1]:%u", port);
	assert_int_equal(try_listen(text, false, &address), -EADDRINUSE);
	assert_in_use_by_me(port);
	close(holder);
}

static void a_shared_port(void **state)
{
	(void)state;
	struct crew__address address, again;
	int first = try_listen("tcp://127.0.0.1:0", true, &address);
	char text[64];
	snprintf(text, sizeof(text), "tcp://127.0.0.1:%u", port_of(first));
	int second = try_listen(text, true, &again);
	assert_true(second >= 0);
	assert_int_equal(option(second, SOL_SOCKET, SO_REUSEPORT), 1);
	close(first);
	close(second);
}

static void an_address_of_another_machine(void **state)
{
	(void)state;
	struct crew__address address;
	assert_int_equal(try_listen("tcp://192.0.2.1:7001", false, &address), -EADDRNOTAVAIL);
	assert_non_null(strstr(error, "192.0.2.1"));
}

/* ---- listening on Unix sockets ------------------------------------------------------------------
 */

static char folder[64];

static int make_folder(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/crew-address-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	(void)state;
	char path[128];
	snprintf(path, sizeof(path), "%s/s", folder);
	unlink(path);
	return rmdir(folder);
}

static const char *socket_text(void)
{
	static char text[128];
	snprintf(text, sizeof(text), "unix://%s/s", folder);
	return text;
}

static bool exists(const struct crew__address *address)
{
	struct stat status;
	return lstat(path_of(address), &status) == 0;
}

static void a_unix_socket_and_its_end(void **state)
{
	(void)state;
	struct crew__address address;
	int fd = try_listen(socket_text(), false, &address);
	assert_true(fd >= 0);
	assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(exists(&address));
	crew__address_unlink(&address, fd);
	assert_false(exists(&address));
	crew__address_unlink(&address, fd);
	close(fd);
}

static void a_living_socket_stays(void **state)
{
	(void)state;
	struct crew__address address, second;
	int fd = try_listen(socket_text(), false, &address);
	assert_int_equal(try_listen(socket_text(), false, &second), -EADDRINUSE);
	char words[64];
	snprintf(words, sizeof(words), "(pid %d)", (int)getpid());
	assert_non_null(strstr(error, words));
	assert_non_null(strstr(error, path_of(&address)));
	assert_true(exists(&address));
	close(fd);
}

static void an_abandoned_socket_is_replaced(void **state)
{
	(void)state;
	struct crew__address address, second;
	int fd = try_listen(socket_text(), false, &address);
	close(fd);
	assert_true(exists(&address));
	fd = try_listen(socket_text(), false, &second);
	assert_true(fd >= 0);
	close(fd);
}

static void what_is_no_socket_is_never_removed(void **state)
{
	(void)state;
	struct crew__address address;
	char target[128];
	const char *path = strstr(socket_text(), "://") + 3;
	close(open(path, O_CREAT | O_WRONLY, 0600));
	assert_int_equal(try_listen(socket_text(), false, &address), -EEXIST);
	assert_non_null(strstr(error, "no socket"));
	assert_true(exists(&address));
	unlink(path);
	/* Neither a link, even one to a socket. */
	snprintf(target, sizeof(target), "%s/nowhere", folder);
	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(try_listen(socket_text(), false, &address), -EEXIST);
	assert_true(exists(&address));
}

static void a_socket_of_datagrams_is_in_use(void **state)
{
	(void)state;
	struct crew__address address = parse(socket_text());
	int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address.socket, address.socket_size), 0);
	assert_int_equal(crew__address_listen(&address, false, error, sizeof(error)), -EADDRINUSE);
	assert_true(exists(&address));
	close(fd);
}

/* To the kernel the socket may have another name; whose it is, is known all the same. */
static void the_name_beside_the_path(void **state)
{
	(void)state;
	struct crew__address address = parse(socket_text()), beside;
	const char *path = path_of(&address);
	char name[128];
	assert_true(crew__address_beside(&address, &beside));
	snprintf(name, sizeof(name), "%s.%d~", path, (int)getpid());
	assert_string_equal(path_of(&beside), name);
	assert_true(crew__address_names(name, path));
	assert_true(crew__address_names(path, path));
	static const char *const others[] = { "x", ".~", ".12", "12~", ".12~x", ".1a~", "/.1~" };
	for (size_t i = 0; i < crew__lengthof(others); i++) {
		snprintf(name, sizeof(name), "%s%s", path, others[i]);
		assert_false(crew__address_names(name, path));
	}
	assert_false(crew__address_names("", path));
}

/* Left there by a process of our number. */
static void a_name_that_was_left_beside_the_path(void **state)
{
	(void)state;
	struct crew__address address = parse(socket_text()), beside;
	assert_true(crew__address_beside(&address, &beside));
	int left = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(crew__address_bind(left, &beside), 0);
	close(left);
	int fd = try_listen(socket_text(), false, &address);
	assert_true(fd >= 0);
	assert_true(exists(&address));
	assert_false(exists(&beside));
	crew__address_unlink(&address, fd);
	assert_false(exists(&address));
	close(fd);
}

/* What stands at the path goes in the very moment in which ours is there; what came in between is
 * given back. */
static void a_file_is_exchanged(void **state)
{
	(void)state;
	struct crew__address first, second, beside;
	struct stat status;
	int old = try_listen(socket_text(), false, &first);
	close(old);
	const struct crew__address_file abandoned = { .device = first.file_device,
		.inode = first.file_inode };
	const struct crew__address_file nothing = { .inode = 0 };
	const struct crew__address_file another = { .device = first.file_device,
		.inode = first.file_inode + 1 };
	second = parse(socket_text());
	assert_true(crew__address_beside(&second, &beside));
	int new = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(crew__address_bind(new, &beside), 0);
	const char *from = path_of(&beside), *path = path_of(&second);
	assert_int_equal(lstat(from, &status), 0);
	ino_t inode = status.st_ino;
	assert_int_equal(crew__address_place(from, path, &nothing), -EAGAIN);
	assert_int_equal(crew__address_place(from, path, &another), -EAGAIN);
	assert_int_equal(lstat(path, &status), 0);
	assert_int_equal(status.st_ino, first.file_inode);
	assert_int_equal(crew__address_place(from, path, &abandoned), 0);
	assert_int_equal(lstat(path, &status), 0);
	assert_int_equal(status.st_ino, inode);
	assert_false(exists(&beside));
	assert_int_equal(unlink(path), 0);
	assert_int_equal(crew__address_place(path, from, &abandoned), -EAGAIN);
	close(new);
}

/* As long as a path of a socket can be: there is no room for a name beside it. */
static void a_path_without_room_beside_it(void **state)
{
	(void)state;
	char text[200];
	struct crew__address address, beside;
	int head = snprintf(text, sizeof(text), "unix://%s/", folder);
	size_t end = strlen("unix://") + 107;
	memset(text + head, 'x', end - (size_t)head);
	text[end] = '\0';
	for (int i = 0; i < 2; i++) {
		int fd = try_listen(text, false, &address);
		assert_true(fd >= 0);
		assert_false(crew__address_beside(&address, &beside));
		assert_int_equal(strlen(path_of(&address)), 107);
		if (i == 1)
			crew__address_unlink(&address, fd);
		close(fd);
	}
	assert_false(exists(&address));
}

static void a_file_that_became_somebody_elses_stays(void **state)
{
	(void)state;
	struct crew__address first, second;
	int old = try_listen(socket_text(), false, &first);
	assert_int_equal(unlink(path_of(&first)), 0);
	int new = try_listen(socket_text(), false, &second);
	assert_true(new >= 0);
	crew__address_unlink(&first, old);
	assert_true(exists(&second));
	/* Nor by a descriptor that was never bound to it. */
	crew__address_unlink(&second, -1);
	crew__address_unlink(&second, STDIN_FILENO);
	assert_true(exists(&second));
	crew__address_unlink(&second, new);
	assert_false(exists(&second));
	close(old);
	close(new);
}

static void folders_that_cannot_be(void **state)
{
	(void)state;
	struct crew__address address;
	char text[160];
	snprintf(text, sizeof(text), "unix://%s/missing/s", folder);
	assert_int_equal(try_listen(text, false, &address), -ENOENT);
	assert_non_null(strstr(error, "no such directory"));
	snprintf(text, sizeof(text), "unix:///dev/null/s");
	assert_int_equal(try_listen(text, false, &address), -ENOTDIR);
	assert_non_null(strstr(error, "/dev/null/s"));
}

static void tcp_has_nothing_to_unlink(void **state)
{
	(void)state;
	struct crew__address address;
	int fd = try_listen("tcp://127.0.0.1:0", false, &address);
	crew__address_unlink(&address, fd);
	assert_int_equal(option(fd, SOL_SOCKET, SO_ACCEPTCONN), 1);
	close(fd);
}

/* ---- forms ------------------------------------------------------------------------------------
 */

static unsigned bound_port(const struct crew__address *address)
{
	struct sockaddr_in6 socket;
	memcpy(&socket, &address->socket, sizeof(socket));
	return ntohs(socket.sin6_port);
}

/* Port 0: the address knows then which, and means that one from now on. */
static void the_chosen_port_is_told(void **state)
{
	(void)state;
	struct crew__address address;
	char expected[64];
	int fd = try_listen("tcp://127.0.0.1:0?backlog=5", true, &address);
	assert_true(fd >= 0);
	assert_int_not_equal(bound_port(&address), 0);
	assert_int_equal(bound_port(&address), port_of(fd));
	snprintf(expected, sizeof(expected), "tcp://127.0.0.1:%u", port_of(fd));
	assert_string_equal(address.text, expected);
	int second = crew__address_listen(&address, true, error, sizeof(error));
	assert_true(second >= 0);
	assert_int_equal(port_of(second), port_of(fd));
	close(second);
	close(fd);
	fd = try_listen("tcp://:0", false, &address);
	assert_true(fd >= 0);
	snprintf(expected, sizeof(expected), "tcp://:%u", port_of(fd));
	assert_string_equal(address.text, expected);
	close(fd);
}

static void an_abstract_name(void **state)
{
	(void)state;
	struct crew__address address, again;
	char text[64], words[64];
	snprintf(text, sizeof(text), "unix://@crew-listen-%d", (int)getpid());
	int fd = try_listen(text, false, &address);
	assert_true(fd >= 0);
	assert_string_equal(address.text, text);
	int client = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(
		connect(client, (struct sockaddr *)&address.socket, address.socket_size), 0);
	close(client);
	/* Who holds it is told; and it is free again with its socket. */
	assert_int_equal(try_listen(text, false, &again), -EADDRINUSE);
	snprintf(words, sizeof(words), "(pid %d)", (int)getpid());
	assert_non_null(strstr(error, words));
	crew__address_unlink(&address, fd);
	close(fd);
	fd = try_listen(text, false, &again);
	assert_true(fd >= 0);
	close(fd);
}

static mode_t mode_of(const struct crew__address *address)
{
	struct stat status;
	assert_int_equal(lstat(path_of(address), &status), 0);
	return status.st_mode & 07777;
}

/* Whatever the umask, and without it the umask decides. */
static void the_mode_of_a_socket_file(void **state)
{
	(void)state;
	static const struct {
		const char *options;
		mode_t mask, mode;
	} rows[] = {
		{ "?mode=0660", 077, 0660 },
		{ "?mode=0666&backlog=9", 0777, 0666 },
		{ "?mode=0", 0, 0 },
		{ "?backlog=9", 027, 0750 },
		{ "", 0, 0777 },
	};
	for (size_t i = 0; i < crew__lengthof(rows); i++) {
		char text[256];
		struct crew__address address;
		snprintf(text, sizeof(text), "%s%s", socket_text(), rows[i].options);
		mode_t before = umask(rows[i].mask);
		int fd = try_listen(text, false, &address);
		assert_int_equal(umask(before), rows[i].mask);
		if (fd < 0)
			fail_msg("%s: %s", text, error);
		assert_int_equal(mode_of(&address), rows[i].mode);
		crew__address_unlink(&address, fd);
		assert_false(exists(&address));
		close(fd);
	}
}

static void the_owner_of_a_socket_file(void **state)
{
	(void)state;
	struct crew__address address;
	struct stat status;
	char text[256];
	snprintf(text, sizeof(text), "%s?owner=no-such-user", socket_text());
	assert_int_equal(try_listen(text, false, &address), -ENOENT);
	assert_non_null(strstr(error, "owner=no-such-user: there is no such name"));
	snprintf(text, sizeof(text), "%s?group=no-such-group", socket_text());
	assert_int_equal(try_listen(text, false, &address), -ENOENT);
	assert_false(exists(&address));
	snprintf(text, sizeof(text), "%s?owner=nobody&group=nogroup&mode=0600", socket_text());
	int fd = try_listen(text, false, &address);
	if (geteuid() != 0) {
		assert_int_equal(fd, -EPERM);
		assert_non_null(strstr(error, "another owner"));
		address = parse(text);
		assert_false(exists(&address));
		return;
	}
	assert_true(fd >= 0);
	assert_int_equal(lstat(path_of(&address), &status), 0);
	assert_int_equal(status.st_uid, 65534);
	assert_int_equal(status.st_gid, 65534);
	assert_int_equal(status.st_mode & 07777, 0600);
	crew__address_unlink(&address, fd);
	close(fd);
}

int main(void)
{
#define IN_FOLDER(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_listening_socket_of_tcp),
		cmocka_unit_test(every_address_is_both_families),
		cmocka_unit_test(the_first_to_connect_has_all_options),
		cmocka_unit_test(ipv6_alone_is_ipv6_alone),
		cmocka_unit_test(a_port_in_use_names_its_holder),
		cmocka_unit_test(a_shared_port),
		cmocka_unit_test(an_address_of_another_machine),
		IN_FOLDER(a_unix_socket_and_its_end),
		IN_FOLDER(a_living_socket_stays),
		IN_FOLDER(an_abandoned_socket_is_replaced),
		IN_FOLDER(what_is_no_socket_is_never_removed),
		IN_FOLDER(a_socket_of_datagrams_is_in_use),
		IN_FOLDER(a_file_that_became_somebody_elses_stays),
		IN_FOLDER(the_name_beside_the_path),
		IN_FOLDER(a_name_that_was_left_beside_the_path),
		IN_FOLDER(a_file_is_exchanged),
		IN_FOLDER(a_path_without_room_beside_it),
		IN_FOLDER(folders_that_cannot_be),
		cmocka_unit_test(tcp_has_nothing_to_unlink),
		cmocka_unit_test(the_chosen_port_is_told),
		cmocka_unit_test(an_abstract_name),
		IN_FOLDER(the_mode_of_a_socket_file),
		IN_FOLDER(the_owner_of_a_socket_file),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

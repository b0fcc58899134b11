/* visitor.c - a client that looks closely: what comes from a server whose kernel makes the TLS
 * records must be what OpenSSL here expects, to the last byte and the end of the stream.
 *
 *   visitor PORT VERSION CIPHER VISIT [ARGUMENT]    VERSION: 1.2 or 1.3
 *
 *   fetch FILE    GET /files/NAME of a file that lies here as well; the answer ends by close_notify
 *   late FILE     likewise, but nothing is read for three seconds
 *   thin FILE     likewise, through a window of few segments
 *   echo BYTES    so many bytes, in writes of many sizes, come back; then our end, and the server's
 *   new-keys      keys of ours change again and again, and echoes go on
 *   ask-keys      the server is asked for new keys of its own: it says goodbye in good order
 *   hold SECONDS  an echo, and then nothing for so long
 *
 * It prints what it did and exits with 0, or says what was wrong and exits with 1. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
	PATIENCE_MS = 120 * 1000,
	THIN_WINDOW = 4096,
	HEAD_MOST = 8192,
	CHUNK = 64 * 1024,
	NEW_KEYS = 50,
};

static int port;
static SSL *ssl;

__attribute__((noreturn, format(printf, 1, 2))) static void fail(const char *format, ...)
{
	va_list list;
	va_start(list, format);
	printf("visitor: ");
	vprintf(format, list);
	va_end(list);
	unsigned long code = ERR_peek_error();
	printf(" (%s)\n", code ? ERR_error_string(code, NULL) : "OpenSSL says nothing");
	exit(1);
}

/* ---- the connection -------------------------------------------------------------------------- */

static int dial(int window)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (window > 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &window, sizeof(window));
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		fail("cannot connect: %s", strerror(errno));
	return fd;
}

static void begin(const char *version, const char *cipher, int window)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	bool old = strcmp(version, "1.2") == 0;
	int number = old ? TLS1_2_VERSION : TLS1_3_VERSION;
	int taken = old ? SSL_CTX_set_cipher_list(ctx, cipher)
			: SSL_CTX_set_ciphersuites(ctx, cipher);
	if (taken != 1 || SSL_CTX_set_min_proto_version(ctx, number) != 1 ||
		SSL_CTX_set_max_proto_version(ctx, number) != 1)
		fail("no such cipher: %s", cipher);
	ssl = SSL_new(ctx);
	int fd = dial(window);
	SSL_set_fd(ssl, fd);
	if (SSL_connect(ssl) != 1)
		fail("the handshake fails");
	fcntl(fd, F_SETFL, O_NONBLOCK);
	SSL_set_mode(ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_free(ctx);
}

static void await(short events)
{
	struct pollfd look = { .fd = SSL_get_fd(ssl), .events = events };
	if (poll(&look, 1, PATIENCE_MS) <= 0)
		fail("nothing happens");
}

/* Bytes; 0: close_notify has come; -1: there is nothing now. */
static ssize_t hear(char *room, size_t size)
{
	size_t n;
	ERR_clear_error();
	int done = SSL_read_ex(ssl, room, size, &n);
	if (done == 1)
		return (ssize_t)n;
	int error = SSL_get_error(ssl, done);
	if (error == SSL_ERROR_ZERO_RETURN)
		return 0;
	if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
		fail("what comes is broken off or broken: error %d", error);
	return -1;
}

static ssize_t hear_some(char *room, size_t size)
{
	ssize_t n;
	while ((n = hear(room, size)) < 0)
		await(POLLIN);
	return n;
}

/* How many of them could be said now. */
static size_t say(const char *data, size_t len)
{
	size_t n;
	ERR_clear_error();
	int done = SSL_write_ex(ssl, data, len, &n);
	if (done == 1)
		return n;
	int error = SSL_get_error(ssl, done);
	if (error != SSL_ERROR_WANT_WRITE && error != SSL_ERROR_WANT_READ)
		fail("nothing can be said: error %d", error);
	return 0;
}

static void say_all(const char *data, size_t len)
{
	while (len > 0) {
		size_t n = say(data, len);
		if (n == 0)
			await(POLLOUT);
		data += n;
		len -= n;
	}
}

static void expect_end(void)
{
	char more;
	if (hear_some(&more, 1) != 0)
		fail("more comes than there is");
}

/* ---- files ----------------------------------------------------------------------------------- */

static void skip_head(void)
{
	char head[HEAD_MOST];
	size_t len = 0;
	while (len < 4 || memcmp(head + len - 4, "\r\n\r\n", 4) != 0)
		if (len == sizeof(head) || hear_some(head + len++, 1) != 1)
			fail("the answer has no head");
	if (memcmp(head, "HTTP/1.1 200 ", 13) != 0)
		fail("the answer is %.40s", head);
}

static const char *open_file(const char *path, size_t *ret_len)
{
	struct stat about;
	int fd = open(path, O_RDONLY);
	if (fd < 0 || fstat(fd, &about) < 0)
		fail("%s: %s", path, strerror(errno));
	*ret_len = (size_t)about.st_size;
	void *data = mmap(NULL, *ret_len, PROT_READ, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		fail("%s: %s", path, strerror(errno));
	return data;
}

static void fetch(const char *path, unsigned wait_s)
{
	static char room[CHUNK];
	char ask[512];
	size_t len, got = 0;
	const char *data = open_file(path, &len);
	const char *name = strrchr(path, '/');
	snprintf(ask, sizeof(ask), "GET /files/%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
		name ? name + 1 : path);
	say_all(ask, strlen(ask));
	sleep(wait_s);
	skip_head();
	while (got < len) {
		ssize_t n = hear_some(room, sizeof(room));
		if (n == 0)
			fail("the file ends after %zu bytes of %zu", got, len);
		if ((size_t)n > len - got || memcmp(room, data + got, (size_t)n) != 0)
			fail("within %zd bytes from %zu on the file is another one", n, got);
		got += (size_t)n;
	}
	expect_end();
	printf("%zu bytes, all of them right, and close_notify", got);
}

/* ---- echoes ---------------------------------------------------------------------------------- */

static char byte_at(size_t i)
{
	return (char)(i * 7 + (i >> 8) * 13 + (i >> 16));
}

/* As many as there are now, compared. */
static size_t hear_echo(size_t got)
{
	static char room[CHUNK];
	ssize_t n = hear(room, sizeof(room));
	if (n == 0)
		fail("the server ends after %zu bytes", got);
	for (ssize_t i = 0; i < n; i++)
		if (room[i] != byte_at(got + (size_t)i))
			fail("byte %zu comes back as another one", got + (size_t)i);
	return n > 0 ? (size_t)n : 0;
}

/* Both ways at once, in writes of 1 to CHUNK bytes. */
static void echo(size_t total)
{
	static char data[CHUNK];
	size_t said = 0, got = 0, step = 1;
	while (got < total) {
		size_t len = total - said < step ? total - said : step;
		for (size_t i = 0; i < len; i++)
			data[i] = byte_at(said + i);
		size_t n = len > 0 ? say(data, len) : 0;
		size_t back = hear_echo(got);
		said += n;
		got += back;
		step = step * 3 % CHUNK + 1;
		if (n == 0 && back == 0)
			await(said < total ? POLLIN | POLLOUT : POLLIN);
	}
}

static void echo_and_end(size_t total)
{
	echo(total);
	SSL_shutdown(ssl);
	expect_end();
	printf("%zu bytes there and back, and close_notify", total);
}

static void new_keys(void)
{
	for (unsigned i = 0; i < NEW_KEYS; i++) {
		if (SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) != 1)
			fail("no new keys");
		echo(1000);
	}
	printf("%d times new keys of ours, and echoes", NEW_KEYS);
}

static void ask_keys(void)
{
	echo(1000);
	if (SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1)
		fail("no new keys");
	say_all("x", 1);
	char more;
	while (hear_some(&more, 1) > 0)
		;
	printf("asked for new keys, the server says goodbye");
}

static void hold(unsigned seconds)
{
	echo(1000);
	sleep(seconds);
	printf("held");
}

/* ---------------------------------------------------------------------------------------------- */

static void visit(const char *what, const char *argument)
{
	if (strcmp(what, "fetch") == 0 || strcmp(what, "thin") == 0)
		fetch(argument, 0);
	else if (strcmp(what, "late") == 0)
		fetch(argument, 3);
	else if (strcmp(what, "echo") == 0)
		echo_and_end(strtoul(argument, NULL, 10));
	else if (strcmp(what, "new-keys") == 0)
		new_keys();
	else if (strcmp(what, "ask-keys") == 0)
		ask_keys();
	else if (strcmp(what, "hold") == 0)
		hold((unsigned)strtoul(argument, NULL, 10));
	else
		fail("no visit %s", what);
}

int main(int argc, char **argv)
{
	if (argc < 5)
		fail("usage: visitor PORT VERSION CIPHER VISIT [ARGUMENT]");
	port = atoi(argv[1]);
	begin(argv[2], argv[3], strcmp(argv[4], "thin") == 0 ? THIN_WINDOW : 0);
	visit(argv[4], argc > 5 ? argv[5] : "");
	printf(" (%s %s)\n", SSL_get_version(ssl), SSL_get_cipher(ssl));
	SSL_free(ssl);
	return 0;
}

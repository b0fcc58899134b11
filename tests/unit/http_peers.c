#include "http_peers.h"

#include "base/base.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char form[] = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
			   "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x\"\r\n"
			   "\r\nfile\r\n--b--\r\n";

static size_t write_request(char *to, size_t size, http_roll_fn *roll)
{
	static const char *const paths[] = { "/plain", "/up", "/files/big", "/in/plain", "/in/up",
		"/in/ws", "/in/wsup", "/in/file", "/else", "/files/none" };
	const char *path = paths[roll(crew__lengthof(paths))];
	const char *version = roll(6) ? "HTTP/1.1" : "HTTP/1.0";
	const char *method = roll(8) ? "GET" : "HEAD";
	const char *extra = roll(8) ? "" : "Connection: keep-alive\r\n";
	bool upgrades = strncmp(path, "/in/ws", 6) == 0 && roll(4) > 0;
	if (upgrades && roll(8) > 0)
		return (size_t)snprintf(to, size,
			"GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "
			"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
			path);
	if (upgrades)
		return (size_t)snprintf(to, size,
			"GET %s HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			"Sec-WebSocket-Version: 13\r\nContent-Length: 5\r\nSec-WebSocket-Key: "
			"dGhlIHNhbXBsZSBub25jZQ==\r\n\r\nhello",
			path);
	switch (roll(5)) {
	case 0:
		return (size_t)snprintf(to, size,
			"POST %s %s\r\nHost: a\r\n%sContent-Length: 10\r\n\r\n0123456789", path,
			version, extra);
	case 1:
		return (size_t)snprintf(to, size,
			"POST %s HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: chunked\r\n\r\n"
			"4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nX-Sum: 7\r\n\r\n",
			path, roll(2) ? "Expect: 100-continue\r\n" : "");
	case 2:
		return (size_t)snprintf(to, size,
			"POST %s HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; "
			"boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%s\r\n"
			"0\r\nX-Sum: 7\r\n\r\n",
			path, sizeof(form) - 1, form);
	default:
		return (size_t)snprintf(to, size,
			"%s %s %s\r\nHost: a\r\nAccept-Encoding: gzip\r\n%s\r\n", method, path,
			version, extra);
	}
}

static size_t write_frame(char *to, http_roll_fn *roll)
{
	static const unsigned char opcodes[] = { 0x81, 0x82, 0x89, 0x8a, 0x88, 0x01, 0x80 };
	size_t len = 1 + roll(80);
	to[0] = (char)opcodes[roll(roll(5) ? 3 : 7)];
	to[1] = (char)(0x80 | len);
	memset(to + 2, 0, 4);
	memset(to + 6, 'a', len);
	return len + 6;
}

void http_peer_writes(struct http_peer *p, http_roll_fn *roll)
{
	if (p->at == p->len) {
		p->at = p->len = 0;
		for (uint32_t n = 1 + roll(3); n > 0; n--)
			p->len += roll(6) ? write_request(p->bytes + p->len, 1000, roll)
					  : write_frame(p->bytes + p->len, roll);
		if (roll(60) == 0)
			p->bytes[roll((uint32_t)p->len)] ^= 0x40;
	}
	size_t some = roll(3) ? p->len - p->at : 1 + roll((uint32_t)(p->len - p->at));
	ssize_t n = send(p->fd, p->bytes + p->at, some, MSG_NOSIGNAL);
	p->at += n > 0 ? (size_t)n : 0;
}

void http_peer_reads(const struct http_peer *p, http_roll_fn *roll)
{
	static char sink[64 * 1024];
	ssize_t n = recv(p->fd, sink, roll(2) ? sizeof(sink) : 500, 0);
	(void)n;
}

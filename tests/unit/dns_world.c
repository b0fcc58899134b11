#include "dns_world.h"

#include "base/check.h"
#include "base/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	HEAD = 12,
	NOERROR = 0,
	RCODE_SERVFAIL = 2,
	RCODE_NXDOMAIN = 3,
	RCODE_REFUSED = 5
};

struct message {
	unsigned char bytes[4096];
	size_t len;
};

static void put(struct message *m, const void *data, size_t len)
{
	crew__must(m->len + len <= sizeof(m->bytes));
	memcpy(m->bytes + m->len, data, len);
	m->len += len;
}

static void put8(struct message *m, unsigned value)
{
	put(m, &(unsigned char){ (unsigned char)value }, 1);
}

static void put16(struct message *m, unsigned value)
{
	put8(m, value >> 8);
	put8(m, value & 0xff);
}

static void set16(struct message *m, size_t at, unsigned value)
{
	m->bytes[at] = (unsigned char)(value >> 8);
	m->bytes[at + 1] = (unsigned char)value;
}

static void put_name(struct message *m, const char *name)
{
	while (*name) {
		size_t label = strcspn(name, ".");
		put8(m, (unsigned)label);
		put(m, name, label);
		name += label + (name[label] == '.');
	}
	put8(m, 0);
}

/* ---- questions ----------------------------------------------------------------------------- */

struct question {
	unsigned id, type;
	char name[256];
	const unsigned char *bytes; /* the question section */
	size_t size;
};

static bool parse(const unsigned char *bytes, size_t len, struct question *q)
{
	size_t at = HEAD, to = 0;
	if (len < HEAD + 5)
		return false;
	q->id = (unsigned)bytes[0] << 8 | bytes[1];
	while (at < len && bytes[at] != 0) {
		size_t label = bytes[at];
		if (label > 63 || at + label + 1 >= len || to + label + 2 > sizeof(q->name))
			return false;
		memcpy(q->name + to, bytes + at + 1, label);
		to += label;
		q->name[to++] = '.';
		at += label + 1;
	}
	q->name[to > 0 ? to - 1 : 0] = '\0';
	if (at + 5 > len)
		return false;
	q->type = (unsigned)bytes[at + 1] << 8 | bytes[at + 2];
	q->bytes = bytes + HEAD;
	q->size = at + 5 - HEAD;
	return true;
}

static const struct dns_rule *find(const struct dns_world *world, const struct question *q)
{
	for (const struct dns_rule *rule = world->rules; rule->name; rule++)
		if (strcasecmp(rule->name, q->name) == 0 &&
			(rule->type == 0 || (unsigned)rule->type == q->type))
			return rule;
	return NULL;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void begin(struct message *m, const struct question *q, unsigned rcode)
{
	m->len = 0;
	put16(m, q->id);
	put16(m, 0x8180u | rcode);
	put16(m, 1);
	put16(m, 0);
	put16(m, 0);
	put16(m, 0);
	put(m, q->bytes, q->size);
}

static void put_record(struct message *m, const char *owner, unsigned type, uint32_t ttl,
	const void *data, size_t len)
{
	put_name(m, owner);
	put16(m, type);
	put16(m, 1);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	put16(m, (unsigned)len);
	put(m, data, len);
}

static void put_answers(struct message *m, const struct question *q, const struct dns_rule *rule)
{
	char data[2048], owner[256];
	unsigned count = 0;
	snprintf(data, sizeof(data), "%s", rule->data ? rule->data : "");
	snprintf(owner, sizeof(owner), "%s", q->name);
	for (char *rest = data, *word; (word = strsep(&rest, " ")) != NULL;) {
		unsigned char ip[16];
		if (strncmp(word, "cname=", 6) == 0) {
			struct message target = { .len = 0 };
			put_name(&target, word + 6);
			put_record(m, owner, DNS_CNAME, rule->ttl, target.bytes, target.len);
			snprintf(owner, sizeof(owner), "%s", word + 6);
		} else if (q->type == DNS_A && inet_pton(AF_INET, word, ip) == 1) {
			put_record(m, owner, DNS_A, rule->ttl, ip, 4);
		} else if (q->type == DNS_AAAA && inet_pton(AF_INET6, word, ip) == 1) {
			put_record(m, owner, DNS_AAAA, rule->ttl, ip, 16);
		} else {
			continue;
		}
		count++;
	}
	set16(m, 6, count);
}

static void put_false(struct message *m, struct question q, bool other_name)
{
	static const struct dns_rule lie = { .data = "10.66.66.66 fd66::66", .ttl = 60 };
	struct message other = { .len = 0 };
	if (other_name) {
		put_name(&other, "elsewhere.test");
		put16(&other, q.type);
		put16(&other, 1);
		q.bytes = other.bytes;
		q.size = other.len;
	} else {
		q.id ^= 0x5555;
	}
	begin(m, &q, NOERROR);
	put_answers(m, &q, &lie);
}

static void damage(struct message *m)
{
	set16(m, 6, 1);
	put16(m, 0xc000u | (unsigned)m->len); /* a name that points to itself */
	put16(m, DNS_A);
	put16(m, 1);
}

/* ---- sending ------------------------------------------------------------------------------- */

static void transmit(struct dns_world *world, struct crew__source *from, const void *peer,
	unsigned peer_size, const struct message *m)
{
	if (from == &world->udp) {
		sendto(from->fd, m->bytes, m->len, 0, peer, peer_size);
	} else if (from->fd >= 0) {
		unsigned char size[2] = { (unsigned char)(m->len >> 8), (unsigned char)m->len };
		send(from->fd, size, 2, MSG_NOSIGNAL | MSG_MORE);
		send(from->fd, m->bytes, m->len, MSG_NOSIGNAL);
	}
}

static void on_delay(struct crew__timer *timer)
{
	struct dns_delayed *late = crew__container_of(timer, struct dns_delayed, timer);
	struct message m = { .len = late->len };
	memcpy(m.bytes, late->bytes, late->len);
	late->used = false;
	transmit(late->world, late->from, late->peer, late->peer_size, &m);
}

static void answer_later(struct dns_world *world, struct crew__source *from, const void *peer,
	unsigned peer_size, const struct message *m, unsigned delay_ms)
{
	struct dns_delayed *late = world->delayed;
	while (late < world->delayed + DNS_ANSWERS && late->used)
		late++;
	crew__must(late < world->delayed + DNS_ANSWERS && peer_size <= sizeof(late->peer));
	*late = (struct dns_delayed){ .timer.fn = on_delay,
		.world = world,
		.from = from,
		.peer_size = peer_size,
		.len = m->len,
		.used = true };
	if (peer_size > 0)
		memcpy(late->peer, peer, peer_size);
	memcpy(late->bytes, m->bytes, m->len);
	crew__timer_start(
		world->loop, &late->timer, crew__loop_ns(world->loop) + delay_ms * CREW__NS_PER_MS);
}

static void answer(struct dns_world *world, struct crew__source *from, const void *peer,
	unsigned peer_size, const unsigned char *bytes, size_t len)
{
	struct question q;
	struct message m = { .len = 0 };
	world->asked++;
	world->asked_by_tcp += from != &world->udp;
	if (!parse(bytes, len, &q))
		return;
	const struct dns_rule *rule = find(world, &q);
	enum dns_how how = rule ? rule->how : DNS_NXDOMAIN;
	switch (how) {
	case DNS_SILENT:
		return;
	case DNS_NXDOMAIN:
		begin(&m, &q, RCODE_NXDOMAIN);
		break;
	case DNS_SERVFAIL:
		begin(&m, &q, RCODE_SERVFAIL);
		break;
	case DNS_REFUSED:
		begin(&m, &q, RCODE_REFUSED);
		break;
	case DNS_GARBAGE:
		for (unsigned i = 0; i < 40; i++)
			put8(&m, i * 37 + 11);
		break;
	case DNS_DAMAGED:
		begin(&m, &q, NOERROR);
		damage(&m);
		break;
	case DNS_SHORT:
		begin(&m, &q, NOERROR);
		put_answers(&m, &q, rule);
		m.len -= 2;
		break;
	case DNS_TRUNCATED:
		begin(&m, &q, NOERROR);
		if (from == &world->udp)
			m.bytes[2] |= 2; /* TC */
		else
			put_answers(&m, &q, rule);
		break;
	case DNS_WRONG_ID:
	case DNS_OTHER_NAME:
		put_false(&m, q, how == DNS_OTHER_NAME);
		transmit(world, from, peer, peer_size, &m);
		/* fall through */
	default:
		begin(&m, &q, NOERROR);
		put_answers(&m, &q, rule);
		break;
	}
	if (rule && rule->delay_ms > 0)
		answer_later(world, from, peer, peer_size, &m, rule->delay_ms);
	else
		transmit(world, from, peer, peer_size, &m);
}

/* ---- sockets ------------------------------------------------------------------------------- */

static struct dns_world *world_of(struct crew__source *source);

static void on_udp(struct crew__source *source, unsigned events)
{
	struct dns_world *world = crew__container_of(source, struct dns_world, udp);
	unsigned char bytes[1024];
	struct sockaddr_storage peer;
	socklen_t size = sizeof(peer);
	(void)events;
	ssize_t n = recvfrom(
		source->fd, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&peer, &size);
	if (n > 0)
		answer(world, source, &peer, size, bytes, (size_t)n);
}

/* Tests ask little: a question comes whole, or not at all. */
static void on_link(struct crew__source *source, unsigned events)
{
	struct dns_world *world = world_of(source);
	unsigned char bytes[1024];
	int fd = source->fd;
	(void)events;
	ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (n < 0 && errno == EAGAIN)
		return;
	for (ssize_t at = 0; n - at > 2;) {
		ssize_t size = bytes[at] << 8 | bytes[at + 1];
		if (size > n - at - 2)
			break;
		answer(world, source, NULL, 0, bytes + at + 2, (size_t)size);
		at += size + 2;
	}
	if (n > 0)
		return;
	crew__loop_remove(world->loop, source);
	close(fd);
}

static struct dns_world *open_world;

static struct dns_world *world_of(struct crew__source *source)
{
	crew__must(source >= open_world->links && source < open_world->links + DNS_TCP);
	return open_world;
}

static void on_tcp(struct crew__source *source, unsigned events)
{
	struct dns_world *world = crew__container_of(source, struct dns_world, tcp);
	struct crew__source *link = world->links;
	(void)events;
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	while (link < world->links + DNS_TCP && link->fd >= 0)
		link++;
	crew__must(link < world->links + DNS_TCP);
	link->fn = on_link;
	link->fd = fd;
	if (crew__loop_add(world->loop, link, CREW__READ) == 0)
		return;
	link->fd = -1; /* a test made this one fail */
	close(fd);
}

/* One port for both; another is tried while somebody has the other half of it. */
static void bind_both(struct dns_world *world)
{
	for (int tries = 0; tries < 100; tries++) {
		struct sockaddr_in address = { .sin_family = AF_INET };
		socklen_t size = sizeof(address);
		address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		world->udp.fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
		world->tcp.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		crew__must(bind(world->udp.fd, (struct sockaddr *)&address, size) == 0);
		crew__must(getsockname(world->udp.fd, (struct sockaddr *)&address, &size) == 0);
		world->port = ntohs(address.sin_port);
		if (bind(world->tcp.fd, (struct sockaddr *)&address, size) == 0)
			return;
		close(world->udp.fd);
		close(world->tcp.fd);
	}
	crew__cannot("no port is free for both UDP and TCP");
}

void dns_open(struct dns_world *world, struct crew__loop *loop, const struct dns_rule *rules)
{
	memset(world, 0, sizeof(*world));
	world->loop = loop;
	world->rules = rules;
	open_world = world;
	bind_both(world);
	crew__must(listen(world->tcp.fd, 16) == 0);
	for (unsigned i = 0; i < DNS_TCP; i++)
		world->links[i].fd = -1;
	world->udp.fn = on_udp;
	world->tcp.fn = on_tcp;
	crew__must(crew__loop_add(loop, &world->udp, CREW__READ) == 0);
	crew__must(crew__loop_add(loop, &world->tcp, CREW__READ) == 0);
	snprintf(world->servers, sizeof(world->servers), "127.0.0.1:%u", world->port);
}

static void close_source(struct dns_world *world, struct crew__source *source)
{
	int fd = source->fd;
	if (fd < 0)
		return;
	crew__loop_remove(world->loop, source);
	close(fd);
}

void dns_close(struct dns_world *world)
{
	for (unsigned i = 0; i < DNS_ANSWERS; i++)
		crew__timer_stop(world->loop, &world->delayed[i].timer);
	for (unsigned i = 0; i < DNS_TCP; i++)
		close_source(world, &world->links[i]);
	close_source(world, &world->udp);
	close_source(world, &world->tcp);
}

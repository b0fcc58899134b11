/* address_options.c - the text behind `?`, and what it does to a socket.
 *
 * What a socket inherits from the one that listens (all of these) is set there, once, before it
 * listens. */
#include "net/address_options.h"

#include "base/complaint.h"
#include "base/nearest.h"

#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum kind {
	NUMBER,
	SIZE,
	SWITCH,
	MODE,
	NAME
};

enum {
	WORD_MAX = 64 /* one name=value, with its NUL */
};

static const struct known {
	const char *name;
	enum kind kind;
	int32_t least, most;
	const char *where;
} table[CREW__OPTIONS] = {
#define ROW(name, kind, least, most, where) { #name, kind, least, most, where },
	CREW__ADDRESS_OPTION_TABLE(ROW)
#undef ROW
};

/* ---- reading ------------------------------------------------------------------------------- */

static const char *form_name(char form)
{
	switch (form) {
	case 't':
		return "a TCP address";
	case 'd':
		return "a UDP address";
	case 'f':
		return "a Unix socket";
	default:
		return "an abstract Unix socket";
	}
}

static int find(const char *name, char form, enum crew__address_option *ret_option,
	const struct crew__complaint *complaint)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	for (unsigned i = 0; i < CREW__OPTIONS; i++) {
		if (strcmp(table[i].name, name) != 0)
			continue;
		if (!strchr(table[i].where, form))
			return crew__complain(complaint, -EINVAL,
				"the option \"%s\" means nothing to %s: leave it out", name,
				form_name(form));
		*ret_option = (enum crew__address_option)i;
		return 0;
	}
	for (unsigned i = 0; i < CREW__OPTIONS; i++)
		if (strchr(table[i].where, form) && crew__nearer(name, table[i].name, &best))
			nearest = table[i].name;
	return crew__complain(complaint, -EINVAL, "unknown option \"%s\"%s%s%s", name,
		nearest ? "; did you mean \"" : "; docs/addresses.md lists those there are",
		nearest ? nearest : "", nearest ? "\"?" : "");
}

static int64_t unit_of(const char *text)
{
	if (strcmp(text, "") == 0)
		return 1;
	if (strcmp(text, "k") == 0)
		return 1 << 10;
	if (strcmp(text, "m") == 0)
		return 1 << 20;
	return strcmp(text, "g") == 0 ? 1 << 30 : 0;
}

/* Digits, and of sizes a unit. -1: it is none. */
static int64_t number_of(const struct known *known, const char *text)
{
	int base = known->kind == MODE ? 8 : 10;
	size_t digits = strspn(text, base == 8 ? "01234567" : "0123456789");
	if (digits == 0 || digits > 10)
		return -1;
	int64_t unit = known->kind == SIZE ? unit_of(text + digits) : text[digits] == '\0', number;
	if (unit == 0 || __builtin_mul_overflow(strtoll(text, NULL, base), unit, &number))
		return -1;
	return number;
}

static int read_number(const struct known *known, const char *text, int32_t *ret_value,
	const struct crew__complaint *complaint)
{
	int64_t number = number_of(known, text);
	if (number >= known->least && number <= known->most) {
		*ret_value = (int32_t)number;
		return 0;
	}
	if (known->kind == MODE)
		return crew__complain(complaint, -EINVAL,
			"%s=%s: write octal permissions from 0 to 0777, such as %s=0660",
			known->name, text, known->name);
	return crew__complain(complaint, -EINVAL, "%s=%s: write a %s from %d to %d", known->name,
		text, known->kind == SIZE ? "size (k, m and g are units)" : "number", known->least,
		known->most);
}

/* The name alone switches on; the words are those of settings. */
static int read_switch(const struct known *known, const char *text, int32_t *ret_value,
	const struct crew__complaint *complaint)
{
	static const char *const words[][2] = { { "off", "on" }, { "no", "yes" },
		{ "false", "true" }, { "0", "1" } };
	for (size_t i = 0; i < crew__lengthof(words); i++) {
		for (int on = 0; on <= 1; on++) {
			if (strcmp(text ? text : "on", words[i][on]) != 0)
				continue;
			*ret_value = on;
			return 0;
		}
	}
	return crew__complain(complaint, -EINVAL, "%s=%s: write %s=on or %s=off", known->name, text,
		known->name, known->name);
}

static int read_name(enum crew__address_option option, const char *text,
	struct crew__address_options *options, const struct crew__complaint *complaint)
{
	char *room = options->interface;
	size_t size = sizeof(options->interface);
	if (option != CREW__OPTION_interface) {
		room = option == CREW__OPTION_owner ? options->owner : options->group;
		size = sizeof(options->owner);
	}
	if (text[0] == '\0' || strlen(text) >= size)
		return crew__complain(complaint, -EINVAL, "%s=%s: write a name of 1 to %zu bytes",
			table[option].name, text, size - 1);
	memcpy(room, text, strlen(text) + 1);
	return 0;
}

static int read_value(enum crew__address_option option, const char *text,
	struct crew__address_options *options, const struct crew__complaint *complaint)
{
	const struct known *known = &table[option];
	if (known->kind == SWITCH)
		return read_switch(known, text, &options->value[option], complaint);
	if (!text)
		return crew__complain(complaint, -EINVAL, "the option %s needs a value: %s=...",
			known->name, known->name);
	if (known->kind == NAME)
		return read_name(option, text, options, complaint);
	return read_number(known, text, &options->value[option], complaint);
}

/* `word` is name or name=value, and is changed. */
static int take(char *word, char form, struct crew__address_options *options,
	const struct crew__complaint *complaint)
{
	enum crew__address_option option = CREW__OPTIONS;
	char *value = strchr(word, '=');
	if (value)
		*value++ = '\0';
	int error = find(word, form, &option, complaint);
	if (error)
		return error;
	if (crew__option_given(options, option))
		return crew__complain(complaint, -EINVAL, "the option %s stands there twice", word);
	error = read_value(option, value, options, complaint);
	if (!error)
		options->given |= UINT32_C(1) << option;
	return error;
}

int crew__address_options_parse(const char *text, char form,
	struct crew__address_options *ret_options, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	struct crew__address_options options = { 0 };
	for (;;) {
		char word[WORD_MAX];
		size_t length = strcspn(text, "&");
		if (length == 0)
			return crew__complain(&complaint, -EINVAL,
				"an option is missing: write ?name=value&name=value");
		if (length >= sizeof(word))
			return crew__complain(
				&complaint, -EINVAL, "the option \"%.40s...\" is too long", text);
		memcpy(word, text, length);
		word[length] = '\0';
		int error = take(word, form, &options, &complaint);
		if (error)
			return error;
		if (text[length] == '\0')
			break;
		text += length + 1;
	}
	*ret_options = options;
	return 0;
}

/* ---- owners -------------------------------------------------------------------------------- */

static int unknown_name(
	const struct crew__complaint *complaint, const char *option, const char *name, int error)
{
	bool none = error == 0 || error == ENOENT;
	return crew__complain(complaint, none ? -ENOENT : -error, "%s=%s: %s", option, name,
		none ? "there is no such name on this machine" : strerror(error));
}

int crew__address_options_owner(const struct crew__address_options *options, uid_t *ret_uid,
	gid_t *ret_gid, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	if (crew__option_given(options, CREW__OPTION_owner)) {
		errno = 0;
		const struct passwd *user = getpwnam(options->owner);
		if (!user)
			return unknown_name(&complaint, "owner", options->owner, errno);
		uid = user->pw_uid;
	}
	if (crew__option_given(options, CREW__OPTION_group)) {
		errno = 0;
		const struct group *group = getgrnam(options->group);
		if (!group)
			return unknown_name(&complaint, "group", options->group, errno);
		gid = group->gr_gid;
	}
	*ret_uid = uid;
	*ret_gid = gid;
	return 0;
}

/* ---- applying ------------------------------------------------------------------------------ */

/* A socket that options go into. */
struct target {
	const struct crew__address_options *options;
	int fd;
	bool stream, ipv6;
	const struct crew__complaint *complaint;
};

static int set(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int cannot(const struct target *target, enum crew__address_option option, int error)
{
	const char *hint = error == -EPERM ? "; this needs root or a capability" : "";
	return crew__complain(target->complaint, error, "the option %s=%d cannot be set: %s%s",
		table[option].name, target->options->value[option], strerror(-error), hint);
}

/* Those that are one number in one place of the kernel's. */
static int apply_plain(const struct target *target)
{
	static const struct {
		enum crew__address_option option;
		int level, name;
	} plain[] = {
		{ CREW__OPTION_keepalive, IPPROTO_TCP, TCP_KEEPIDLE },
		{ CREW__OPTION_keepalive_interval, IPPROTO_TCP, TCP_KEEPINTVL },
		{ CREW__OPTION_keepalive_count, IPPROTO_TCP, TCP_KEEPCNT },
		{ CREW__OPTION_defer_accept, IPPROTO_TCP, TCP_DEFER_ACCEPT },
		{ CREW__OPTION_fastopen, IPPROTO_TCP, TCP_FASTOPEN },
		/* Of an IPv6 socket too. */
		{ CREW__OPTION_freebind, IPPROTO_IP, IP_FREEBIND },
	};
	for (size_t i = 0; i < crew__lengthof(plain); i++) {
		if (!crew__option_given(target->options, plain[i].option))
			continue;
		int error = set(target->fd, plain[i].level, plain[i].name,
			target->options->value[plain[i].option]);
		if (error)
			return cannot(target, plain[i].option, error);
	}
	return 0;
}

/* An IPv6 socket may have IPv4 peers, so both families are told; one that is for IPv6 only takes
 * what is said for IPv4 as well. */
static int set_both(const struct target *target, int ip_name, int ipv6_name, int value)
{
	int error = set(target->fd, IPPROTO_IP, ip_name, value);
	if (!error && target->ipv6)
		error = set(target->fd, IPPROTO_IPV6, ipv6_name, value);
	return error;
}

static int apply_ip(const struct target *target)
{
	const struct crew__address_options *options = target->options;
	int dscp = crew__option_or(options, CREW__OPTION_dscp, -1);
	int ttl = crew__option_or(options, CREW__OPTION_ttl, -1);
	int loop = crew__option_or(options, CREW__OPTION_loop, -1);
	int error = dscp < 0 ? 0 : set_both(target, IP_TOS, IPV6_TCLASS, dscp << 2);
	if (error)
		return cannot(target, CREW__OPTION_dscp, error);
	error = ttl < 0 ? 0 : set_both(target, IP_TTL, IPV6_UNICAST_HOPS, ttl);
	if (!error && ttl >= 0 && !target->stream)
		error = set_both(target, IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS, ttl);
	if (error)
		return cannot(target, CREW__OPTION_ttl, error);
	error = loop < 0 ? 0 : set_both(target, IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP, loop);
	return error ? cannot(target, CREW__OPTION_loop, error) : 0;
}

/* The kernel keeps twice the number (half is for its own), and quietly less than asked for when its
 * limit is lower: that would be found out much later. */
static int apply_buffer(
	const struct target *target, enum crew__address_option option, int name, int force_name)
{
	int wanted = target->options->value[option], got = 0;
	socklen_t size = sizeof(got);
	if (!crew__option_given(target->options, option))
		return 0;
	if (set(target->fd, SOL_SOCKET, force_name, wanted) < 0) {
		int error = set(target->fd, SOL_SOCKET, name, wanted);
		if (error)
			return cannot(target, option, error);
	}
	if (getsockopt(target->fd, SOL_SOCKET, name, &got, &size) < 0)
		return cannot(target, option, -errno);
	if (got / 2 >= wanted)
		return 0;
	return crew__complain(target->complaint, -EPERM,
		"the option %s=%d is more than this system allows (%d): ask for less, or raise "
		"net.core.%s_max by sysctl",
		table[option].name, wanted, got / 2,
		option == CREW__OPTION_sndbuf ? "wmem" : "rmem");
}

static int apply_interface(const struct target *target)
{
	const char *name = target->options->interface;
	int error = 0;
	if (!crew__option_given(target->options, CREW__OPTION_interface))
		return 0;
	if (setsockopt(target->fd, SOL_SOCKET, SO_BINDTODEVICE, name, (socklen_t)strlen(name)) < 0)
		error = -errno;
	if (error == -ENODEV)
		return crew__complain(target->complaint, error,
			"interface=%s: this machine has no such network interface", name);
	if (!error && !target->stream) {
		struct ip_mreqn out = { .imr_ifindex = (int)if_nametoindex(name) };
		if (target->ipv6)
			error = set(target->fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, out.imr_ifindex);
		else if (setsockopt(target->fd, IPPROTO_IP, IP_MULTICAST_IF, &out, sizeof(out)) < 0)
			error = -errno;
	}
	return error ? crew__complain(target->complaint, error, "interface=%s cannot be set: %s",
			       name, strerror(-error))
		     : 0;
}

static bool wants_keepalive(const struct crew__address_options *options)
{
	return crew__option_given(options, CREW__OPTION_keepalive) ||
	       crew__option_given(options, CREW__OPTION_keepalive_count) ||
	       crew__option_given(options, CREW__OPTION_keepalive_interval);
}

int crew__address_options_apply(const struct crew__address_options *options, int fd, bool stream,
	bool ipv6, char *ret_error, size_t error_size)
{
	const struct crew__complaint complaint = { ret_error, error_size };
	const struct target target = { options, fd, stream, ipv6, &complaint };
	int error = 0;
	if (wants_keepalive(options) && (error = set(fd, SOL_SOCKET, SO_KEEPALIVE, 1)) < 0)
		return cannot(&target, CREW__OPTION_keepalive, error);
	error = apply_plain(&target);
	if (!error)
		error = apply_ip(&target);
	if (!error)
		error = apply_buffer(&target, CREW__OPTION_sndbuf, SO_SNDBUF, SO_SNDBUFFORCE);
	if (!error)
		error = apply_buffer(&target, CREW__OPTION_rcvbuf, SO_RCVBUF, SO_RCVBUFFORCE);
	if (!error)
		error = apply_interface(&target);
	return error;
}

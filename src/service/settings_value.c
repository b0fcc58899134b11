/* settings_value.c - one value: read from text, kept within its range, shown as text.
 *
 * Not here: whether a value fits to the others (settings_resolve.c). */
#include "service/settings.h"

#include "base/nearest.h"
#include "net/resolver.h"
#include "service/settings_parts.h"
#include "web/cidr.h"

#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- numbers ------------------------------------------------------------------------------- */

static int suffix_shift(const char *text, unsigned *ret_shift)
{
	static const struct {
		const char *text;
		unsigned shift;
	} suffixes[] = { { "", 0 }, { "k", 10 }, { "K", 10 }, { "m", 20 }, { "M", 20 }, { "g", 30 },
		{ "G", 30 } };
	for (size_t i = 0; i < crew__lengthof(suffixes); i++) {
		if (strcmp(suffixes[i].text, text) != 0)
			continue;
		*ret_shift = suffixes[i].shift;
		return 0;
	}
	return -EINVAL;
}

int crew__parse_number(const char *text, int64_t *ret_number)
{
	unsigned shift;
	int64_t number = 0;
	if (strcmp(text, "off") == 0) {
		*ret_number = 0;
		return 0;
	}
	bool negative = text[0] == '-';
	const char *digits = text + negative;
	size_t count = strspn(digits, "0123456789");
	if (count == 0 || suffix_shift(digits + count, &shift))
		return -EINVAL;
	for (size_t i = 0; i < count; i++) {
		int64_t digit = digits[i] - '0';
		if (__builtin_mul_overflow(number, 10, &number) ||
			__builtin_add_overflow(number, negative ? -digit : digit, &number))
			return -ERANGE;
	}
	if (__builtin_mul_overflow(number, INT64_C(1) << shift, &number))
		return -ERANGE;
	*ret_number = number;
	return 0;
}

static void show_number(enum crew__settings_kind kind, int64_t number, char *text, size_t size)
{
	static const char letters[] = "kmg";
	size_t unit = 0;
	while (kind == CREW__KIND_SIZE && unit < 3 && number > 0 && number % 1024 == 0) {
		number /= 1024;
		unit++;
	}
	if (unit > 0)
		snprintf(text, size, "%" PRId64 "%c", number, letters[unit - 1]);
	else
		snprintf(text, size, "%" PRId64, number);
}

/* What is allowed, for the end of a complaint. */
static const char *range_text(const struct crew__settings_key *key, char *text, size_t size)
{
	char least[32], most[32];
	show_number(key->kind, key->least, least, sizeof(least));
	show_number(key->kind, key->most, most, sizeof(most));
	const char *unit = key->kind == CREW__KIND_MS ? " milliseconds" : "";
	const char *more = key->kind == CREW__KIND_WORKERS ? ", or auto"
			   : key->least == 0               ? ", or off"
							   : "";
	if (key->least == 0)
		snprintf(text, size, "allowed are 1 to %s%s%s", most, unit, more);
	else
		snprintf(text, size, "allowed are %s to %s%s%s", least, most, unit, more);
	return text;
}

static int64_t *number_of(const struct crew__settings_key *key, void *base)
{
	return (int64_t *)(void *)((char *)base + key->offset);
}

static int keep_number(
	const struct crew__settings_key *key, void *base, int64_t number, char why[CREW__WHY_MAX])
{
	char range[128];
	if (number < key->least || number > key->most) {
		snprintf(why, CREW__WHY_MAX, "out of range; %s",
			range_text(key, range, sizeof(range)));
		return -EINVAL;
	}
	*number_of(key, base) = number;
	return 0;
}

static int read_number(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	char range[128];
	int64_t number;
	int error = crew__parse_number(value, &number);
	if (!error)
		return keep_number(key, base, number, why);
	snprintf(why, CREW__WHY_MAX, "%s; %s",
		error == -ERANGE ? "out of range" : "this is no number",
		range_text(key, range, sizeof(range)));
	return -EINVAL;
}

static int64_t count_cpus(void)
{
	cpu_set_t cpus;
	/* On a machine with more of them than the set can hold the kernel refuses. */
	int64_t count = sched_getaffinity(0, sizeof(cpus), &cpus) < 0
				? sysconf(_SC_NPROCESSORS_ONLN)
				: CPU_COUNT(&cpus);
	return count > 0 ? count : 1;
}

static int read_workers(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	if (strcmp(value, "auto") != 0)
		return read_number(key, base, value, why);
	int64_t cpus = count_cpus();
	return keep_number(key, base, cpus > key->most ? key->most : cpus, why);
}

int crew__settings_take_number(
	const struct crew__settings_key *key, void *base, int64_t value, char why[CREW__WHY_MAX])
{
	if (value == 0)
		return 0; /* the preset is there already */
	if (key->kind == CREW__KIND_WORKERS && value == CREW_AUTO)
		return read_workers(key, base, "auto", why);
	if (value == CREW_OFF && key->least > 0) {
		snprintf(why, CREW__WHY_MAX, "this cannot be off");
		return -EINVAL;
	}
	return keep_number(key, base, value == CREW_OFF ? 0 : value, why);
}

static int read_mode(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	size_t digits = strspn(value, "01234567");
	long mode = digits > 0 && digits <= 4 ? strtol(value, NULL, 8) : -1;
	if (value[digits] != '\0' || mode < key->least || mode > key->most) {
		snprintf(why, CREW__WHY_MAX,
			"this is no file mode; allowed are three octal digits, such as "
			"0600 or 0660");
		return -EINVAL;
	}
	*number_of(key, base) = mode;
	return 0;
}

/* ---- choices ------------------------------------------------------------------------------- */

struct choice {
	const char *name;
	int value;
};

static const struct choice switches[] = { { "on", 1 }, { "off", 0 }, { "yes", 1 }, { "no", 0 },
	{ "true", 1 }, { "false", 0 }, { "1", 1 }, { "0", 0 }, { NULL, 0 } };
static const struct choice engines[] = { { "auto", CREW__ENGINE_AUTO },
	{ "epoll", CREW__ENGINE_EPOLL }, { "poll", CREW__ENGINE_POLL }, { NULL, 0 } };
static const struct choice levels[] = { { "debug", CREW_DEBUG }, { "info", CREW_INFO },
	{ "warn", CREW_WARN }, { "error", CREW_ERROR }, { NULL, 0 } };

static const struct choice policies[] = { { "drop-newest", CREW_DROP_NEWEST },
	{ "drop-oldest", CREW_DROP_OLDEST }, { "replace", CREW_REPLACE },
	{ "disconnect", CREW_DISCONNECT }, { NULL, 0 } };

static const struct choice deflates[] = { { "shared", CREW__DEFLATE_SHARED },
	{ "takeover", CREW__DEFLATE_TAKEOVER }, { "off", CREW__DEFLATE_OFF }, { NULL, 0 } };

static const struct choice tls_clients[] = { { "off", CREW__TLS_CLIENTS_OFF },
	{ "optional", CREW__TLS_CLIENTS_OPTIONAL }, { "required", CREW__TLS_CLIENTS_REQUIRED },
	{ NULL, 0 } };
static const struct choice tls_mins[] = { { "1.2", CREW__TLS_MIN_1_2 },
	{ "1.3", CREW__TLS_MIN_1_3 }, { NULL, 0 } };
static const struct choice ktls[] = { { "auto", 1 }, { "off", 0 }, { NULL, 0 } };
static const struct choice seccomps[] = { { "off", CREW__SECCOMP_OFF },
	{ "default", CREW__SECCOMP_DEFAULT }, { NULL, 0 } };
static const struct choice seccomp_actions[] = { { "refuse", CREW__SECCOMP_REFUSE },
	{ "kill", CREW__SECCOMP_KILL }, { "log", CREW__SECCOMP_LOG }, { NULL, 0 } };
static const struct choice log_formats[] = { { "text", 0 }, { "json", 1 }, { NULL, 0 } };
static const struct choice log_facilities[] = { { "daemon", CREW__LOG_FACILITY_DAEMON },
	{ "user", 1 }, { "local0", 16 }, { "local1", 17 }, { "local2", 18 }, { "local3", 19 },
	{ "local4", 20 }, { "local5", 21 }, { "local6", 22 }, { "local7", 23 }, { NULL, 0 } };

static const struct choice accepts[] = { { "shared", CREW__ACCEPT_SHARED },
	{ "reuse-port", CREW__ACCEPT_REUSE_PORT }, { "least-connections", CREW__ACCEPT_LEAST },
	{ NULL, 0 } };

/* Of what is a choice and kept as a number; NULL for other kinds. */
static const struct choice *choices_of(enum crew__settings_kind kind)
{
	switch (kind) {
	case CREW__KIND_POLICY:
		return policies;
	case CREW__KIND_DEFLATE:
		return deflates;
	case CREW__KIND_TLS_CLIENT:
		return tls_clients;
	case CREW__KIND_TLS_MIN:
		return tls_mins;
	case CREW__KIND_KTLS:
		return ktls;
	case CREW__KIND_SECCOMP:
		return seccomps;
	case CREW__KIND_SECCOMP_ACTION:
		return seccomp_actions;
	case CREW__KIND_LOG_FORMAT:
		return log_formats;
	case CREW__KIND_LOG_FACILITY:
		return log_facilities;
	case CREW__KIND_ACCEPT:
		return accepts;
	default:
		return NULL;
	}
}

static void list_choices(const struct choice *choices, const char *value, char why[CREW__WHY_MAX])
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	int length = snprintf(why, CREW__WHY_MAX, "allowed are");
	for (size_t i = 0; choices[i].name; i++) {
		if (crew__nearer(value, choices[i].name, &best))
			nearest = choices[i].name;
		length += snprintf(why + length, CREW__WHY_MAX - (size_t)length, "%s%s",
			i == 0 ? " " : (choices[i + 1].name ? ", " : " and "), choices[i].name);
	}
	if (nearest)
		snprintf(why + length, CREW__WHY_MAX - (size_t)length, "; did you mean %s?",
			nearest);
}

static int read_choice(
	const struct choice *choices, const char *value, int *ret_value, char why[CREW__WHY_MAX])
{
	for (size_t i = 0; choices[i].name; i++) {
		if (strcmp(choices[i].name, value) != 0)
			continue;
		*ret_value = choices[i].value;
		return 0;
	}
	list_choices(choices, value, why);
	return -EINVAL;
}

static const char *choice_name(const struct choice *choices, int value)
{
	size_t i = 0;
	while (choices[i + 1].name && choices[i].value != value)
		i++;
	return choices[i].name;
}

static int read_switch(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	int on;
	int error = read_choice(switches, value, &on, why);
	if (!error)
		*(bool *)((char *)base + key->offset) = on;
	return error;
}

static int read_engine(struct crew__settings *settings, const char *value, char why[CREW__WHY_MAX])
{
	int engine;
	if (strcmp(value, "io_uring") == 0) {
		snprintf(why, CREW__WHY_MAX,
			"this crew is built without io_uring; use auto, epoll or poll");
		return -EINVAL;
	}
	int error = read_choice(engines, value, &engine, why);
	if (!error)
		settings->engine = (enum crew__engine_kind)engine;
	return error;
}

static int read_level(struct crew__settings *settings, const char *value, char why[CREW__WHY_MAX])
{
	int level;
	int error = read_choice(levels, value, &level, why);
	if (!error)
		settings->log_level = (crew_level)level;
	return error;
}

/* A choice that is kept as a number. */
static int read_numbered(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	int number;
	int error = read_choice(choices_of(key->kind), value, &number, why);
	if (!error)
		*number_of(key, base) = number;
	return error;
}

/* ---- text ---------------------------------------------------------------------------------- */

static char **text_of(const struct crew__settings_key *key, void *base)
{
	return (char **)(void *)((char *)base + key->offset);
}

/* Empty is NULL: whatever the key's default means. */
static int keep_text(const struct crew__settings_key *key, void *base, const char *value)
{
	char *copy = value[0] ? strdup(value) : NULL;
	if (value[0] && !copy)
		return -ENOMEM;
	free(*text_of(key, base));
	*text_of(key, base) = copy;
	return 0;
}

static int read_name(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	bool user = key->kind == CREW__KIND_USER;
	bool known = !value[0] || (user ? (void *)getpwnam(value) : (void *)getgrnam(value));
	if (known)
		return keep_text(key, base, value);
	snprintf(
		why, CREW__WHY_MAX, "there is no such %s on this machine", user ? "user" : "group");
	return -EINVAL;
}

static int read_networks(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	struct crew__cidrs networks;
	crew_bytes bad = { NULL, 0 };
	int error = crew__cidrs_parse(value, &networks, &bad);
	if (error == -EINVAL)
		snprintf(why, CREW__WHY_MAX,
			"\"%.*s\" is no network; one looks like 10.0.0.0/8, 192.0.2.1, ::1, or is "
			"the word unix",
			(int)crew__min(bad.len, 64), bad.data);
	if (error)
		return error;
	crew__cidrs_free(&networks);
	return keep_text(key, base, value);
}

static int read_servers(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	if (!value[0] || crew__resolver_servers_good(value))
		return keep_text(key, base, value);
	snprintf(why, CREW__WHY_MAX,
		"this is no list of name servers; allowed are up to 8 numeric addresses, such as "
		"192.0.2.53 127.0.0.1:5353 [::1]:5353");
	return -EINVAL;
}

/* ---- by kind ------------------------------------------------------------------------------- */

int crew__settings_read_value(const struct crew__settings_key *key, void *base, const char *value,
	char why[CREW__WHY_MAX])
{
	switch (key->kind) {
	case CREW__KIND_ADDRESS:
	case CREW__KIND_PATH:
	case CREW__KIND_DIRECTORY:
		return keep_text(key, base, value);
	case CREW__KIND_TOKEN:
	case CREW__KIND_FILES:
	case CREW__KIND_WORDS:
		return keep_text(key, base, value);
	case CREW__KIND_POLICY:
	case CREW__KIND_DEFLATE:
	case CREW__KIND_TLS_CLIENT:
	case CREW__KIND_TLS_MIN:
	case CREW__KIND_KTLS:
	case CREW__KIND_SECCOMP:
	case CREW__KIND_SECCOMP_ACTION:
	case CREW__KIND_LOG_FORMAT:
	case CREW__KIND_LOG_FACILITY:
	case CREW__KIND_ACCEPT:
		return read_numbered(key, base, value, why);
	case CREW__KIND_CAPABILITIES:
	case CREW__KIND_CPUS:
	case CREW__KIND_INHERITED:
	case CREW__KIND_UMASK:
		return crew__settings_read_confine(key, base, value, why);
	case CREW__KIND_FILE:
	case CREW__KIND_ADMIN:
		return keep_text(key, base, strcmp(value, "off") == 0 ? "" : value);
	case CREW__KIND_NETWORKS:
		return read_networks(key, base, value, why);
	case CREW__KIND_SERVERS:
		return read_servers(key, base, value, why);
	case CREW__KIND_USER:
	case CREW__KIND_GROUP:
		return read_name(key, base, value, why);
	case CREW__KIND_WORKERS:
		return read_workers(key, base, value, why);
	case CREW__KIND_MODE:
		return read_mode(key, base, value, why);
	case CREW__KIND_SWITCH:
		return read_switch(key, base, value, why);
	case CREW__KIND_ENGINE:
		return read_engine(base, value, why);
	case CREW__KIND_LEVEL:
		return read_level(base, value, why);
	default:
		return read_number(key, base, value, why);
	}
}

static bool is_text(const struct crew__settings_key *key)
{
	switch (key->kind) {
	case CREW__KIND_ADDRESS:
	case CREW__KIND_PATH:
	case CREW__KIND_DIRECTORY:
	case CREW__KIND_FILE:
	case CREW__KIND_ADMIN:
	case CREW__KIND_TOKEN:
	case CREW__KIND_FILES:
	case CREW__KIND_WORDS:
	case CREW__KIND_NETWORKS:
	case CREW__KIND_SERVERS:
	case CREW__KIND_USER:
	case CREW__KIND_GROUP:
	case CREW__KIND_CAPABILITIES:
	case CREW__KIND_CPUS:
		return true;
	default:
		return false;
	}
}

char *crew__settings_show_value(const struct crew__settings_key *key, const void *base)
{
	const char *member = (const char *)base + key->offset;
	const struct crew__settings *settings = base;
	char number[32];
	if (is_text(key)) {
		const char *text = *(char *const *)(const void *)member;
		return strdup(text ? text : "");
	}
	switch (key->kind) {
	case CREW__KIND_SWITCH:
		return strdup(choice_name(switches, *(const bool *)member));
	case CREW__KIND_ENGINE:
		return strdup(choice_name(engines, (int)settings->engine));
	case CREW__KIND_LEVEL:
		return strdup(choice_name(levels, (int)settings->log_level));
	case CREW__KIND_POLICY:
	case CREW__KIND_DEFLATE:
	case CREW__KIND_TLS_CLIENT:
	case CREW__KIND_TLS_MIN:
	case CREW__KIND_KTLS:
	case CREW__KIND_SECCOMP:
	case CREW__KIND_SECCOMP_ACTION:
	case CREW__KIND_LOG_FORMAT:
	case CREW__KIND_LOG_FACILITY:
	case CREW__KIND_ACCEPT:
		return strdup(choice_name(
			choices_of(key->kind), (int)*(const int64_t *)(const void *)member));
	case CREW__KIND_INHERITED:
	case CREW__KIND_UMASK:
		return crew__settings_show_confine(key, *(const int64_t *)(const void *)member);
	case CREW__KIND_MODE:
		snprintf(number, sizeof(number), "%04" PRIo64,
			*(const int64_t *)(const void *)member);
		return strdup(number);
	default:
		snprintf(
			number, sizeof(number), "%" PRId64, *(const int64_t *)(const void *)member);
		return strdup(number);
	}
}

void crew__settings_preset(const struct crew__settings_key *key, void *base)
{
	struct crew__settings *settings = base;
	switch (key->kind) {
	case CREW__KIND_NUMBER:
	case CREW__KIND_SIZE:
	case CREW__KIND_MS:
	case CREW__KIND_WORKERS:
	case CREW__KIND_MODE:
	case CREW__KIND_POLICY:
	case CREW__KIND_DEFLATE:
	case CREW__KIND_TLS_CLIENT:
	case CREW__KIND_TLS_MIN:
	case CREW__KIND_KTLS:
	case CREW__KIND_SECCOMP:
	case CREW__KIND_SECCOMP_ACTION:
	case CREW__KIND_INHERITED:
	case CREW__KIND_UMASK:
	case CREW__KIND_LOG_FORMAT:
	case CREW__KIND_LOG_FACILITY:
	case CREW__KIND_ACCEPT:
		*number_of(key, base) = key->preset;
		break;
	case CREW__KIND_LEVEL:
		settings->log_level = (crew_level)key->preset;
		break;
	case CREW__KIND_SWITCH:
		*(bool *)((char *)base + key->offset) = key->preset != 0;
		break;
	default: /* all zero: NULL, off, auto */
		break;
	}
}

void crew__settings_drop_value(const struct crew__settings_key *key, void *base)
{
	if (is_text(key))
		free(*text_of(key, base));
}

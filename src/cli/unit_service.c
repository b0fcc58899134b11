/* unit_service.c - the service unit: how it is started, and all that it may not do. */
#include "cli/unit.h"

#include "net/address.h"
#include "proc/master.h"
#include "service/capabilities.h"

#include <ctype.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

enum {
	LOW_PORTS = 1024,
	WATCHDOG_S = 30,
	SLACK_S = 10,
	DESCRIPTORS_MOST = 1048576 /* what kernels allow unless told otherwise */
};

/* ---- as whom ------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
	return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* All of it may run as the user of its services when they have one in common. The admin service,
 * which is the last, is whoever the others are. */
static const struct crew__service_settings *common_user(const struct crew__settings *settings)
{
	const struct crew__service_settings *first = &settings->service[0];
	unsigned own = settings->services - (settings->admin ? 1 : 0);
	for (unsigned i = 0; i < own; i++)
		if (!settings->service[i].user ||
			!same_text(settings->service[i].user, first->user) ||
			!same_text(settings->service[i].group, first->group))
			return NULL;
	return first;
}

static bool changes_user(const struct crew__settings *settings)
{
	for (unsigned i = 0; i < settings->services; i++)
		if (settings->service[i].user || settings->service[i].group)
			return true;
	return false;
}

static unsigned port_of(const struct crew__address *address)
{
	struct crew__record_address record;
	crew__address_record((const struct sockaddr *)&address->socket, &record);
	return address->transport == CREW__UNIX ? 0 : record.port;
}

/* What workers are to have or to do that only root, or a part of it, can. */
struct needs {
	bool low_port; /* to listen below 1024 */
	bool owner;    /* to give a Unix socket to somebody else */
	bool chroot;
	bool nice;     /* to be sooner than others */
	bool resource; /* to be spared when memory runs out, to have more than the limits */
	bool seccomp;
	uint64_t capabilities;
};

static bool need_root(const struct needs *needs)
{
	return needs->chroot || needs->nice || needs->resource || needs->owner ||
	       needs->capabilities != 0;
}

static void need_of_address(const struct crew__address *address, struct needs *needs)
{
	unsigned port = port_of(address);
	if (port > 0 && port < LOW_PORTS)
		needs->low_port = true;
	if (crew__option_given(&address->options, CREW__OPTION_owner) ||
		crew__option_given(&address->options, CREW__OPTION_group))
		needs->owner = true;
}

static void need_of_service(const struct crew__service_settings *service, struct needs *needs)
{
	char bad[32];
	uint64_t set;
	if (service->capabilities &&
		crew__capabilities_parse(service->capabilities, &set, bad) == 0)
		needs->capabilities |= set;
	if (service->chroot)
		needs->chroot = true;
	if (service->seccomp != CREW__SECCOMP_OFF)
		needs->seccomp = true;
	if (service->nice != CREW__UNCHANGED && service->nice < 0)
		needs->nice = true;
	if (service->oom_score_adj != CREW__UNCHANGED && service->oom_score_adj < 0)
		needs->resource = true;
}

static int find_needs(const struct crew__settings *settings, struct needs *ret_needs)
{
	struct needs needs = { .low_port = false };
	struct crew__address *all = calloc(CREW__ADDRESSES_MAX, sizeof(*all));
	char why[256];
	if (!all)
		return -ENOMEM;
	for (unsigned i = 0; i < settings->services; i++) {
		const struct crew__service_settings *service = &settings->service[i];
		size_t count = 0;
		if (service->listen)
			crew__addresses_parse(
				service->listen, settings->run_dir, all, &count, why, sizeof(why));
		for (size_t k = 0; k < count; k++)
			need_of_address(&all[k], &needs);
		need_of_service(service, &needs);
	}
	free(all);
	*ret_needs = needs;
	return 0;
}

static void print_identity(
	FILE *out, const struct crew__service_settings *user, const struct needs *needs)
{
	const char *low = needs->low_port ? "CAP_NET_BIND_SERVICE" : "";
	fprintf(out, "User=");
	crew__unit_text(out, user->user);
	if (user->group) {
		fprintf(out, "\nGroup=");
		crew__unit_text(out, user->group);
	}
	fprintf(out, "\nCapabilityBoundingSet=%s\nAmbientCapabilities=%s\n", low, low);
}

/* " CAP_NET_RAW CAP_..." */
static void print_capabilities(FILE *out, uint64_t set)
{
	char names[1024], *rest = NULL;
	crew__capabilities_text(set, names, sizeof(names));
	char *name = set ? strtok_r(names, " ", &rest) : NULL;
	for (; name; name = strtok_r(NULL, " ", &rest)) {
		fputs(" CAP_", out);
		for (; *name; name++)
			fputc(toupper((unsigned char)*name), out);
	}
}

/* The master stays root: to become others, to end them, and to give them their files. */
static void print_root(FILE *out, const struct crew__settings *settings, const struct needs *needs)
{
	bool changes = changes_user(settings);
	if (!changes)
		fputs("# No service has a `user`: all of it is root. Give each one in the settings, and\n"
		      "# print this file again.\n",
			out);
	fputs("CapabilityBoundingSet=CAP_DAC_OVERRIDE", out);
	if (changes)
		fputs(" CAP_SETUID CAP_SETGID CAP_KILL", out);
	if (changes || needs->owner)
		fputs(" CAP_CHOWN CAP_FOWNER", out);
	if (changes || needs->capabilities)
		fputs(" CAP_SETPCAP", out);
	if (needs->low_port)
		fputs(" CAP_NET_BIND_SERVICE", out);
	if (needs->chroot)
		fputs(" CAP_SYS_CHROOT", out);
	if (needs->nice)
		fputs(" CAP_SYS_NICE", out);
	if (needs->resource)
		fputs(" CAP_SYS_RESOURCE", out);
	print_capabilities(out, needs->capabilities);
	fputc('\n', out);
}

/* ---- how it is started and stopped --------------------------------------------------------- */

static void print_arguments(FILE *out, const struct crew__unit_plan *plan)
{
	if (plan->config) {
		fputs(" -c ", out);
		crew__unit_word(out, plan->config, true);
	}
	for (size_t i = 0; i < plan->set_count; i++) {
		fputs(" --set ", out);
		crew__unit_word(out, plan->sets[i], true);
	}
	fputs(" --run-dir ", out);
	crew__unit_word(out, plan->run_dir, true);
	fputc('\n', out);
}

static void print_command(
	FILE *out, const struct crew__unit_plan *plan, const char *key, const char *command)
{
	fprintf(out, "%s=", key);
	crew__unit_word(out, plan->program, false); /* no variable is looked for in the path */
	fprintf(out, " %s", command);
	print_arguments(out, plan);
}

static uint64_t seconds(uint64_t ms)
{
	return (ms + 999) / 1000;
}

/* Who is stuck is ended by the master first, where the settings say so. */
static unsigned long long watchdog_s(const struct crew__settings *settings)
{
	uint64_t most = WATCHDOG_S;
	for (unsigned i = 0; i < settings->services; i++)
		most = crew__max(most, 3 * seconds((uint64_t)settings->service[i].stuck_ms));
	return most;
}

static void print_life(FILE *out, const struct crew__unit_plan *plan)
{
	uint64_t stop_ms = crew__stop_bound_ms(plan->settings, false);
	uint64_t reload_ms = CREW__PLAN_DEADLINE_MS + CREW__START_DEADLINE_MS +
			     CREW__KILL_GRACE_MS + stop_ms;
	bool reloads = plan->version >= CREW__SYSTEMD_NOTIFY_RELOAD;
	fprintf(out, "Type=%s\nNotifyAccess=main\n", reloads ? "notify-reload" : "notify");
	print_command(out, plan, "ExecStart", "start");
	if (!reloads)
		print_command(out, plan, "ExecReload", "reload");
	fprintf(out,
		"# The master stops its workers in order; what is left after that is killed.\n"
		"KillMode=mixed\n"
		"TimeoutStartSec=%llu\nTimeoutStopSec=%llu\nWatchdogSec=%llu\n"
		"Restart=on-failure\nRestartSec=1\nRestartPreventExitStatus=2\n",
		(unsigned long long)seconds(reload_ms) + SLACK_S,
		(unsigned long long)seconds(stop_ms) + SLACK_S, watchdog_s(plan->settings));
	if (plan->version >= 254)
		fputs("RestartSteps=6\nRestartMaxDelaySec=30\n", out);
	if (plan->version >= 243)
		fputs("# One worker that was too big does not end the others; it is started anew.\n"
		      "OOMPolicy=continue\n",
			out);
}

/* ---- limits and places --------------------------------------------------------------------- */

/* By what the settings allow, which followed the limit where nobody has set it. */
static uint64_t descriptors(const struct crew__settings *settings)
{
	int64_t most = 0;
	for (unsigned i = 0; i < settings->services; i++)
		if (settings->service[i].max_connections > most)
			most = settings->service[i].max_connections;
	for (unsigned i = 0; i < settings->services; i++)
		if (settings->service[i].limit_nofile > most)
			most = settings->service[i].limit_nofile;
	uint64_t need = (uint64_t)most * 10 / 9 + 64;
	return need < DESCRIPTORS_MOST ? need : DESCRIPTORS_MOST;
}

static uint64_t sockets_to_keep(const struct crew__settings *settings)
{
	uint64_t count = 0;
	for (unsigned i = 0; i < settings->services; i++) {
		const struct crew__service_settings *service = &settings->service[i];
		uint64_t each = service->reuse_port ? (uint64_t)service->workers : 1;
		count += service->listen ? each * CREW__ADDRESSES_MAX : 0;
	}
	return count;
}

/* systemd makes the directory where it knows how, and gives it to the user. */
static void print_run_dir(FILE *out, const struct crew__unit_plan *plan)
{
	static const char *const roots[][2] = { { "/run/", "RuntimeDirectory" },
		{ "/var/lib/", "StateDirectory" }, { "/var/cache/", "CacheDirectory" },
		{ "/var/log/", "LogsDirectory" } };
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./@+";
	for (size_t i = plan->version >= 235 ? 0 : crew__lengthof(roots); i < crew__lengthof(roots);
		i++) {
		size_t length = strlen(roots[i][0]);
		const char *name = plan->run_dir + length;
		if (strncmp(plan->run_dir, roots[i][0], length) != 0 || !*name ||
			name[strspn(name, plain)] || strstr(name, "..") ||
			strncmp(plan->run_dir, "/run/user/", 10) == 0)
			continue;
		fprintf(out, "%s=%s\n", roots[i][1], name);
		/* A socket that is kept needs its file. */
		if (i == 0 && plan->settings->fd_store)
			fputs("RuntimeDirectoryPreserve=restart\n", out);
		return;
	}
	fputs("# It must be there, and the program's user must own it.\nReadWritePaths=", out);
	crew__unit_word(out, plan->run_dir, false);
	fputc('\n', out);
}

static void print_places(
	FILE *out, const struct crew__unit_plan *plan, const struct crew__reach *reach)
{
	print_run_dir(out, plan);
	fprintf(out, "ProtectSystem=strict\nProtectHome=%s\nPrivateTmp=%s\n",
		reach->home ? "read-only" : "yes", reach->tmp ? "no" : "yes");
	if (reach->writes > 0)
		fputs("# Written to by the settings; what the program itself writes belongs here as "
		      "well.\n",
			out);
	for (size_t i = 0; i < reach->writes; i++) {
		fputs("ReadWritePaths=", out);
		crew__unit_word(out, reach->written[i], false);
		fputc('\n', out);
	}
}

/* ---- locks --------------------------------------------------------------------------------- */

static const struct {
	unsigned since; /* the first version that knows it; 0: all that we serve */
	const char *line;
} locks[] = {
	{ 0, "NoNewPrivileges=yes" },
	{ 0, "PrivateDevices=yes" },
	{ 0, "ProtectControlGroups=yes" },
	{ 0, "ProtectKernelModules=yes" },
	{ 0, "ProtectKernelTunables=yes" },
	{ 242, "ProtectHostname=yes" },
	{ 244, "ProtectKernelLogs=yes" },
	{ 245, "ProtectClock=yes" },
	{ 0, "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK" },
	{ 233, "RestrictNamespaces=yes" },
	{ 0, "RestrictRealtime=yes" },
	{ 242, "RestrictSUIDSGID=yes" },
	{ 235, "LockPersonality=yes" },
	{ 0, "MemoryDenyWriteExecute=yes" },
	{ 0, "SystemCallArchitectures=native" },
	{ 239, "SystemCallFilter=@system-service" },
	{ 0, "SystemCallErrorNumber=EPERM" },
};

static void print_locks(FILE *out, unsigned version, const struct needs *needs)
{
	for (size_t i = 0; i < crew__lengthof(locks); i++)
		if (version >= locks[i].since)
			fprintf(out, "%s\n", locks[i].line);
	/* What workers still do before they are locked in themselves. */
	if (version >= 239 && needs->chroot)
		fputs("SystemCallFilter=chroot\n", out);
	if (version >= 239 && needs->seccomp)
		fputs("SystemCallFilter=seccomp\n", out);
}

/* ---- all of it ----------------------------------------------------------------------------- */

static int check_words(const struct crew__unit_plan *plan, char *error, size_t size)
{
	const char *program = plan->program ? plan->program : "";
	const char *bad = crew__unit_sayable(program) ? NULL : program;
	const char *const words[] = { plan->config, plan->run_dir };
	for (size_t i = 0; i < crew__lengthof(words); i++)
		if (words[i] && !crew__unit_sayable(words[i]))
			bad = words[i];
	for (size_t i = 0; i < plan->set_count; i++)
		if (!crew__unit_sayable(plan->sets[i]))
			bad = plan->sets[i];
	if (!bad && !strpbrk(program, "\"'\\"))
		return 0;
	if (!bad)
		snprintf(error, size,
			"systemd starts no program with a quote or a backslash in its path (%.300s); "
			"install it elsewhere",
			plan->program);
	else
		snprintf(error, size,
			"a unit file is UTF-8 without control characters, which cannot name \"%.200s\"",
			bad);
	return -EINVAL;
}

static void print_head(FILE *out, const struct crew__unit_plan *plan)
{
	const char *name = plan->settings->name;
	fprintf(out,
		"# %s.service, printed by `%s systemd-unit` for systemd %u. To be put into\n"
		"# /etc/systemd/system/ and switched on by\n"
		"#   systemctl daemon-reload && systemctl enable --now %s\n"
		"[Unit]\nDescription=",
		name, name, plan->version, name);
	crew__unit_text(out, name);
	fputs("\nWants=network-online.target\nAfter=network-online.target\n"
	      "# Nobody is awake at night to start it by hand: it is tried again for ever.\n"
	      "StartLimitIntervalSec=0\n\n[Service]\n",
		out);
}

int crew__unit_service(
	FILE *out, const struct crew__unit_plan *plan, char *ret_error, size_t error_size)
{
	struct needs needs = { 0 };
	struct crew__reach reach = { 0 };
	const struct crew__service_settings *user = common_user(plan->settings);
	int status = check_words(plan, ret_error, error_size);
	if (status == 0)
		status = find_needs(plan->settings, &needs);
	if (status == 0)
		status = crew__reach_find(plan, &reach);
	if (status < 0)
		return status;
	print_head(out, plan);
	print_life(out, plan);
	if (plan->settings->fd_store)
		fprintf(out, "FileDescriptorStoreMax=%llu\n",
			(unsigned long long)sockets_to_keep(plan->settings));
	fprintf(out, "LimitNOFILE=%llu\n\n", (unsigned long long)descriptors(plan->settings));
	if (user && !need_root(&needs))
		print_identity(out, user, &needs);
	else
		print_root(out, plan->settings, &needs);
	print_places(out, plan, &reach);
	print_locks(out, plan->version, &needs);
	fputs("\n[Install]\nWantedBy=multi-user.target\n", out);
	crew__reach_free(&reach);
	return 0;
}

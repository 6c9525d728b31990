/*
 * Stands in for the kernel's macsec driver, as far as wpa_supplicant's driver "macsec_linux" can tell.
 *
 * Preloaded, it answers the calls to libnl with which that driver would create a macsec link, and SCs
 * and SAs in it: each succeeds, and nothing is done. So MKA runs on kernels that have no such driver.
 * There is no data plane.
 *
 *   WPA_SHIM_LOG  a file to which a line is added for each order: a word, then NAME=VALUE. SAKs too!
 *   WPA_SHIM_PN   a file with lines "AN PN": the next PN that is told of the transmit SA with that AN.
 *                 It is read whenever the driver asks, and need not be there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/genetlink.h>
#include <linux/if_macsec.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What of libnl is used, whose headers are not needed this way. */
struct nl_sock;
struct nl_msg;
struct nl_cache;
struct nl_object;
struct rtnl_link;
typedef int (*message_handler)(struct nl_msg *, void *);
struct nlmsghdr *nlmsg_hdr(struct nl_msg *);
struct nl_msg *nlmsg_alloc(void);
void nlmsg_free(struct nl_msg *);
void *genlmsg_put(struct nl_msg *, uint32_t, uint32_t, int, int, int, uint8_t, uint8_t);
int nla_put_u32(struct nl_msg *, int, uint32_t);
int nla_put_u8(struct nl_msg *, int, uint8_t);
struct nlattr *nla_nest_start(struct nl_msg *, int);
int nla_nest_end(struct nl_msg *, struct nlattr *);
struct rtnl_link *rtnl_link_macsec_alloc(void);
void rtnl_link_set_ifindex(struct rtnl_link *, int);
void rtnl_link_set_name(struct rtnl_link *, const char *);
unsigned int rtnl_link_get_flags(struct rtnl_link *);
int rtnl_link_macsec_get_sci(struct rtnl_link *, uint64_t *);
int rtnl_link_macsec_get_encoding_sa(struct rtnl_link *, uint8_t *);
int rtnl_link_macsec_get_encrypt(struct rtnl_link *, uint8_t *);
int rtnl_link_macsec_get_protect(struct rtnl_link *, uint8_t *);
int rtnl_link_macsec_get_replay_protect(struct rtnl_link *, uint8_t *);
int rtnl_link_macsec_get_window(struct rtnl_link *, uint32_t *);

/* The generic netlink family: no other has the last number there is. */
#define FAMILY 0xffff
/* The link. There is one in a process. */
#define LINK_NAME "macsec0"
#define LINK_INDEX 0x4d53

/* A line of the log while it is made. */
struct line {
	char text[1024];
	size_t len;
};

static void add(struct line *line, const char *format, ...)
{
	size_t room = sizeof line->text - line->len;
	va_list values;
	int len;

	va_start(values, format);
	len = vsnprintf(line->text + line->len, room, format, values);
	va_end(values);
	if (len > 0)
		line->len += (size_t)len < room ? (size_t)len : room - 1;
}

static void add_octets(struct line *line, const char *name, const void *octets, size_t len)
{
	const uint8_t *octet = octets;

	add(line, " %s=", name);
	while (len--)
		add(line, "%02x", *octet++);
}

/* Whoever reads the log finds whole lines, as each is one write. */
static void end(struct line *line)
{
	const char *path = getenv("WPA_SHIM_LOG");
	int file = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

	if (file < 0)
		return;
	add(line, "\n");
	if (write(file, line->text, line->len) < 0)
		perror(path);
	close(file);
}

/* The function of libnl that one of this file hides. */
static void *hidden(const char *name)
{
	void *function = dlsym(RTLD_NEXT, name);

	if (!function) {
		fprintf(stderr, "shim: there is no %s to fall back on\n", name);
		abort();
	}
	return function;
}

static const char *const commands[] = {
	[MACSEC_CMD_ADD_RXSC] = "add-rxsc", [MACSEC_CMD_DEL_RXSC] = "delete-rxsc",
	[MACSEC_CMD_UPD_RXSC] = "update-rxsc", [MACSEC_CMD_ADD_TXSA] = "add-txsa",
	[MACSEC_CMD_DEL_TXSA] = "delete-txsa", [MACSEC_CMD_UPD_TXSA] = "update-txsa",
	[MACSEC_CMD_ADD_RXSA] = "add-rxsa", [MACSEC_CMD_DEL_RXSA] = "delete-rxsa",
	[MACSEC_CMD_UPD_RXSA] = "update-rxsa",
};

/* Calls `action` with each of the attributes in `len` octets. */
static void for_each(struct line *line, const char *at, size_t len,
		     void (*action)(struct line *, int, const void *, size_t))
{
	while (len >= NLA_HDRLEN) {
		const struct nlattr *attribute = (const struct nlattr *)at;
		size_t whole = attribute->nla_len;
		size_t step = NLA_ALIGN(whole);

		if (whole < NLA_HDRLEN || whole > len)
			return;
		action(line, attribute->nla_type & NLA_TYPE_MASK, at + NLA_HDRLEN,
		       whole - NLA_HDRLEN);
		if (step >= len)
			return;
		at += step;
		len -= step;
	}
}

static void add_sa(struct line *line, int type, const void *value, size_t len)
{
	uint32_t pn;

	switch (type) {
	case MACSEC_SA_ATTR_AN:
		add(line, " an=%u", *(const uint8_t *)value);
		break;
	case MACSEC_SA_ATTR_ACTIVE:
		add(line, " active=%u", *(const uint8_t *)value);
		break;
	case MACSEC_SA_ATTR_PN:
		memcpy(&pn, value, sizeof pn);
		add(line, " pn=%u", pn);
		break;
	case MACSEC_SA_ATTR_KEYID:
		add_octets(line, "ki", value, len);
		break;
	case MACSEC_SA_ATTR_KEY:
		add_octets(line, "sak", value, len);
		break;
	}
}

static void add_rxsc(struct line *line, int type, const void *value, size_t len)
{
	if (type == MACSEC_RXSC_ATTR_SCI)
		add_octets(line, "sci", value, len);
}

static void add_order(struct line *line, int type, const void *value, size_t len)
{
	switch (type) {
	case MACSEC_ATTR_RXSC_CONFIG:
		for_each(line, value, len, add_rxsc);
		break;
	case MACSEC_ATTR_SA_CONFIG:
		for_each(line, value, len, add_sa);
		break;
	}
}

static void log_order(const struct nlmsghdr *header, uint8_t command)
{
	const char *body = (const char *)header + NLMSG_HDRLEN + GENL_HDRLEN;
	size_t len = header->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	struct line line = { .len = 0 };
	const char *name = NULL;

	if (command < sizeof commands / sizeof *commands)
		name = commands[command];
	add(&line, "%s", name ? name : "unknown");
	for_each(&line, body, len, add_order);
	end(&line);
}

/* Who is told what of a transmit SA. */
static struct {
	message_handler call;
	void *argument;
} handler;

static void tell_pns(void)
{
	const char *path = getenv("WPA_SHIM_PN");
	FILE *file = path ? fopen(path, "re") : NULL;
	struct nl_msg *message;
	struct nlattr *list;
	unsigned int an, pn;

	if (!file)
		return;
	message = nlmsg_alloc();
	genlmsg_put(message, 0, 0, FAMILY, 0, 0, MACSEC_CMD_GET_TXSC, 0);
	nla_put_u32(message, MACSEC_ATTR_IFINDEX, LINK_INDEX);
	list = nla_nest_start(message, MACSEC_ATTR_TXSA_LIST);
	while (fscanf(file, "%u %u", &an, &pn) == 2) {
		struct nlattr *sa = nla_nest_start(message, an + 1);

		nla_put_u8(message, MACSEC_SA_ATTR_AN, (uint8_t)an);
		nla_put_u32(message, MACSEC_SA_ATTR_PN, pn);
		nla_nest_end(message, sa);
	}
	nla_nest_end(message, list);
	fclose(file);
	if (handler.call)
		handler.call(message, handler.argument);
	nlmsg_free(message);
}

int genl_connect(struct nl_sock *sock)
{
	(void)sock;
	return 0;
}

int genl_ctrl_resolve(struct nl_sock *sock, const char *name)
{
	int (*resolve)(struct nl_sock *, const char *);

	if (!strcmp(name, "macsec"))
		return FAMILY;
	resolve = hidden("genl_ctrl_resolve");
	return resolve(sock, name);
}

/* The driver sets but one handler: that of answers to questions. */
int nl_socket_modify_cb(struct nl_sock *sock, int type, int kind, message_handler call, void *argument)
{
	(void)sock, (void)type, (void)kind;
	handler.call = call;
	handler.argument = argument;
	return 0;
}

/* libnl itself sends by this function as well. */
int nl_send_auto_complete(struct nl_sock *sock, struct nl_msg *message)
{
	const struct nlmsghdr *header = nlmsg_hdr(message);
	const struct genlmsghdr *order = NLMSG_DATA(header);
	int (*send)(struct nl_sock *, struct nl_msg *);

	if (header->nlmsg_type != FAMILY) {
		send = hidden("nl_send_auto_complete");
		return send(sock, message);
	}
	if (order->cmd == MACSEC_CMD_GET_TXSC)
		tell_pns();
	else
		log_order(header, order->cmd);
	return (int)header->nlmsg_len;
}

/* The driver waits this way for answers to its own messages only. */
int nl_recvmsgs_default(struct nl_sock *sock)
{
	(void)sock;
	return 0;
}

int rtnl_link_add(struct nl_sock *sock, struct rtnl_link *link, int flags)
{
	struct line line = { .len = 0 };
	uint64_t sci;
	uint32_t window;
	uint8_t octet;

	(void)sock, (void)flags;
	add(&line, "link");
	if (rtnl_link_macsec_get_sci(link, &sci) >= 0)
		add_octets(&line, "sci", &sci, sizeof sci);
	if (rtnl_link_macsec_get_encoding_sa(link, &octet) >= 0)
		add(&line, " an=%u", octet);
	if (rtnl_link_macsec_get_encrypt(link, &octet) >= 0)
		add(&line, " encrypt=%u", octet);
	if (rtnl_link_macsec_get_protect(link, &octet) >= 0)
		add(&line, " protect=%u", octet);
	if (rtnl_link_macsec_get_replay_protect(link, &octet) >= 0)
		add(&line, " replay=%u", octet);
	if (rtnl_link_macsec_get_window(link, &window) >= 0)
		add(&line, " window=%u", window);
	end(&line);
	return 0;
}

int rtnl_link_change(struct nl_sock *sock, struct rtnl_link *from, struct rtnl_link *to, int flags)
{
	struct line line = { .len = 0 };

	(void)sock, (void)from, (void)flags;
	add(&line, "port open=%d", !!(rtnl_link_get_flags(to) & IFF_UP));
	end(&line);
	return 0;
}

int rtnl_link_delete(struct nl_sock *sock, const struct rtnl_link *link)
{
	struct line line = { .len = 0 };

	(void)sock, (void)link;
	add(&line, "delete-link");
	end(&line);
	return 0;
}

/* The driver looks for the link that it has just made. */
struct nl_object *nl_cache_find(struct nl_cache *cache, struct nl_object *wanted)
{
	struct rtnl_link *link = rtnl_link_macsec_alloc();

	(void)cache, (void)wanted;
	rtnl_link_set_ifindex(link, LINK_INDEX);
	rtnl_link_set_name(link, LINK_NAME);
	return (struct nl_object *)link;
}

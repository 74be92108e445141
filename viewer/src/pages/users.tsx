/** Users and their tokens; a token is shown once. */
import { useState } from "preact/hooks";
import { api } from "../core/api";
import { date, t } from "../core/i18n";
import { told } from "../core/sentences";
import { complain, say } from "../core/store";
import type { PersonAnswer, Role, NewTokenAnswer } from "../core/types";
import { Choice, Dialog, Field, Loading, Page, Trouble } from "../parts/ui";
import { useLoad } from "../parts/use";

const ROLES: readonly Role[] = ["metrics", "reader", "reviewer", "administrator"];
const roles = () => ROLES.map((role) => [role, t(`role.${role}`)] as const);

export function UsersPage() {
  const users = useLoad(() => api.users(), []);
  const tokens = useLoad(() => api.tokens(), []);
  const [made, setMade] = useState<NewTokenAnswer | null>(null);
  const run = async (work: () => Promise<unknown>, text: string) => {
    try {
      await work();
      say("good", text);
      return true;
    } catch (error) {
      complain(error);
      return false;
    } finally {
      users.reload();
      tokens.reload();
    }
  };
  if (users.error) return <Page title="nav.users"><Trouble error={users.error} again={users.reload} /></Page>;
  if (!users.value) return <Page title="nav.users"><Loading /></Page>;
  return (
    <Page title="nav.users" intro="users.intro">
      <section class="card">
        <h2>{t("users.people")}</h2>
        <table class="cards">
          <thead>
            <tr>
              <th scope="col">{t("login.name")}</th>
              <th scope="col">{t("users.role")}</th>
              <th scope="col">{t("users.state")}</th>
              <td />
            </tr>
          </thead>
          <tbody>
            {users.value.map((user) => (
              <tr key={user.user_id}>
                <th scope="row">{user.name}</th>
                <td data-name={t("users.role")}>
                  <Choice<Role>
                    hideLabel
                    label={`${t("users.role")}: ${user.name}`}
                    value={user.role}
                    options={roles()}
                    change={(role) => void run(() => api.changeUser(user.user_id, { role }), t("users.changed"))}
                  />
                </td>
                <td data-name={t("users.state")}>{t(stateOf(user))}</td>
                <td class="actions">
                  <UserButtons user={user} run={run} made={setMade} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </section>
      <NewUser run={run} />
      <section class="card">
        <h2>{t("tokens")}</h2>
        {!tokens.value?.length && <p class="soft">{t("tokens.none")}</p>}
        <ul class="versions">
          {tokens.value?.map((token) => (
            <li key={token.token_id}>
              <b>{told(token.name)}</b>{" "}
              <span class="soft">
                {token.user}, {date(token.created_at)}
              </span>
              <button
                class="quiet"
                onClick={() => void run(() => api.deleteToken(token.token_id), t("tokens.deleted"))}
              >
                {t("delete")}
              </button>
            </li>
          ))}
        </ul>
      </section>
      {made?.token && (
        <Dialog title={t("tokens.made")} close={() => setMade(null)}>
          <p>{t("tokens.once")}</p>
          <p>
            <code class="token">{made.token}</code>
          </p>
        </Dialog>
      )}
    </Page>
  );
}

/** How somebody comes in; the one without a password whose name nobody can take comes by the printed link. */
const stateOf = ({ name, password, openid, disabled }: PersonAnswer) =>
  disabled ? "users.disabled" : password || openid || name === "local" ? "users.enabled" : "users.by-token";

/** True where it succeeded. */
type Run = (work: () => Promise<unknown>, text: string) => Promise<boolean>;

function UserButtons({ user, run, made }: { user: PersonAnswer; run: Run; made: (token: NewTokenAnswer) => void }) {
  const disabled = !user.disabled;
  return (
    <>
      <button onClick={() => void run(() => api.changeUser(user.user_id, { disabled }), t("users.changed"))}>
        {t(user.disabled ? "users.enable" : "users.disable")}
      </button>
      <button
        onClick={() =>
          void run(async () => made(await api.addToken(user.user_id, t("tokens.name"))), t("tokens.made"))
        }
      >
        {t("tokens.new")}
      </button>
    </>
  );
}

function NewUser({ run }: { run: Run }) {
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const [role, setRole] = useState<Role>("reader");
  const submit = (event: Event) => {
    event.preventDefault();
    void run(() => api.addUser(name, role, password), t("users.added")).then((done) => {
      if (!done) return;
      setName("");
      setPassword("");
    });
  };
  return (
    <section class="card">
      <h2>{t("users.new")}</h2>
      <form class="filters" onSubmit={submit}>
        <Field label={t("login.name")}>
          <input required value={name} autocomplete="off" onInput={(e) => setName(e.currentTarget.value)} />
        </Field>
        <Field label={t("login.password")}>
          <input
            required={role !== "metrics"}
            disabled={role === "metrics"}
            type="password"
            autocomplete="new-password"
            minLength={10}
            value={password}
            onInput={(e) => setPassword(e.currentTarget.value)}
          />
        </Field>
        <Choice<Role> label={t("users.role")} value={role} options={roles()} change={setRole} />
        <button class="primary">{t("users.add")}</button>
      </form>
    </section>
  );
}

//! What the engine holds: versions loaded by hand, loaded again where it has lost one, unloaded where nobody needs one.

use std::time::Duration;

use plimsoll_rules::retrain::Status;

use super::route;
use super::run::{Address, Version, Wanted};
use super::task::Task;
use super::work::{self, Done, What, Work};
use crate::deploy::{DeployError, Served};
use crate::records::{LoopChange, Refused};

/// How long a look waits for what the engine says, and for an unload: whoever wants to go back waits behind it.
const ANSWER: Duration = Duration::from_secs(2);
const UNLOAD: Duration = Duration::from_secs(15);

impl Task {
    /// Begins to serve a version by hand; what was being loaded for somebody else's wish is given up. The base model serves
    /// at once, whatever the engine does; for a version what follows is [`Task::served`].
    pub(super) async fn serve(&mut self, number: Option<u32>) -> Result<(), Refused> {
        self.withdraw();
        let Some(version) = number.and_then(|number| self.version(number)).cloned() else {
            return self.served(None, Ok(Done::Loaded(Served::default()))).await;
        };
        self.wanted = Some(Wanted { version: version.number, failed: None });
        self.work =
            Some(Work::start(What::Serve(number), work::load(self.deployer.clone(), version, self.live_name())));
        Ok(())
    }

    /// Gives up what is being loaded by hand, or again.
    pub(super) fn withdraw(&mut self) {
        self.wanted = None;
        let Some(What::Serve(Some(number)) | What::Heal(number)) =
            self.work.take_if(|work| work.is_by_hand()).map(|work| work.what)
        else {
            return;
        };
        if let Some(version) = self.version_mut(number).filter(|version| version.address.is_none()) {
            // perhaps the engine has it: it is unloaded at the next look
            version.address = Some(Address::default());
        }
    }

    /// A version that a person wants is loaded: it serves from now on.
    pub(super) async fn served(&mut self, number: Option<u32>, outcome: anyhow::Result<Done>) -> Result<(), Refused> {
        let address = match outcome {
            Ok(Done::Loaded(served)) => Address::from(served),
            Ok(_) => return Ok(()),
            Err(why) => {
                let why = format!("{why:#}");
                self.fault(&why);
                if let Some(wanted) = &mut self.wanted {
                    wanted.failed = Some(why);
                }
                return Ok(());
            }
        };
        let (before, mut change) = (self.standing.live, LoopChange::default());
        self.retire(before, &mut change);
        if let Some(version) = number.and_then(|number| self.version_mut(number)) {
            (version.status, version.address) = (Status::Live, Some(address));
            if before.is_none_or(|before| before < version.number) {
                version.before = before;
            }
            change.versions.push(version.document());
        }
        self.route_to(number, false);
        self.standing.live = number;
        (self.standing.attempts, self.standing.refused) = (0, 0);
        change.standing = serde_json::to_string(&self.standing).ok();
        self.store(&change).await?;
        self.wanted = None;
        let version = self.live_name().unwrap_or_else(|| route::BASE.to_owned());
        tracing::info!(version, "finetune: serves from now on");
        self.set_route().await;
        Ok(())
    }

    /// The version that serves, and one that is tried, are in the engine; where it has lost one, it is loaded again.
    pub(super) async fn heal(&mut self) {
        if self.work.is_some() {
            return;
        }
        let tried = self.open().map(|at| &self.runs[at]).filter(|run| run.stage.has_experiment());
        let tried = tried.and_then(|run| run.version);
        let before = std::mem::take(&mut self.missing);
        // each is loaded without disturbing the other
        for (number, other) in [(self.standing.live, tried), (tried, self.standing.live)] {
            let Some(version) = number.and_then(|number| self.version(number)).cloned() else { continue };
            match within(ANSWER, self.deployer.served(&version.name)).await {
                Ok(Some(_)) => continue,
                Ok(None) if !before.contains(&version.name) => {
                    tracing::warn!(version = version.name, "finetune: the engine has lost it; it is loaded again");
                }
                Ok(None) => {}
                Err(why) => {
                    self.fault(&why);
                    // nobody knows: what was missing still is
                    self.missing.extend(before.contains(&version.name).then_some(version.name));
                    continue;
                }
            }
            self.missing.insert(version.name.clone());
            if self.work.is_none() {
                let other = other.and_then(|other| self.version(other)).map(|other| other.name.clone());
                let (number, load) = (version.number, work::load(self.deployer.clone(), version, other));
                self.work = Some(Work::start(What::Heal(number), load));
            }
        }
    }

    /// It may be somewhere else now.
    pub(super) async fn healed(&mut self, number: u32, outcome: anyhow::Result<Done>) -> Result<(), Refused> {
        match outcome {
            Ok(Done::Loaded(served)) => {
                let address = Some(Address::from(served));
                let name = self.version(number).map(|version| version.name.clone()).unwrap_or_default();
                self.missing.remove(&name);
                let Some(version) = self.version_mut(number).filter(|version| version.address != address) else {
                    return Ok(());
                };
                version.address = address;
                let mut change = LoopChange { versions: vec![version.document()], ..LoopChange::default() };
                let moved = route::side(self.version(number));
                if let Some(route) = &mut self.standing.route {
                    let sides = [&mut route.control, &mut route.treatment];
                    sides
                        .into_iter()
                        .filter(|side| side.version == Some(number))
                        .for_each(|side| *side = moved.clone());
                }
                change.standing = serde_json::to_string(&self.standing).ok();
                self.store(&change).await?;
                self.set_route().await;
            }
            Ok(_) => {}
            Err(why) => self.fault(&format!("{why:#}")),
        }
        Ok(())
    }

    /// Versions that nobody is sent to any more leave the engine, at the look after the decision: answers may still be under
    /// way. What the engine has of them though nobody asked for it, such as a load that came late, leaves too.
    pub(super) async fn tidy(&mut self) -> Result<(), Refused> {
        let listed = within(ANSWER, self.deployer.listed()).await.unwrap_or_default();
        let coming = match self.work.as_ref().map(|work| work.what) {
            Some(What::Serve(number)) => number,
            _ => None,
        };
        let is_left = |version: &&Version| {
            let needed = matches!(version.status, Status::Live | Status::Candidate) || coming == Some(version.number);
            !needed && (version.address.is_some() || listed.contains(&version.name))
        };
        let left = self.versions.iter().filter(is_left);
        let left: Vec<(u32, String)> = left.map(|version| (version.number, version.name.clone())).collect();
        for (number, name) in left {
            if let Err(why) = within(UNLOAD, self.deployer.unload(&name)).await {
                self.fault(&format!("{name} is not unloaded: {why}"));
                continue;
            }
            tracing::info!(version = name, "finetune: unloaded");
            if let Some(version) = self.version_mut(number).filter(|version| version.address.is_some()) {
                version.address = None;
                let change = LoopChange { versions: vec![version.document()], ..LoopChange::default() };
                self.store(&change).await?;
            }
        }
        Ok(())
    }
}

async fn within<T>(limit: Duration, asked: impl Future<Output = Result<T, DeployError>>) -> Result<T, String> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer.map_err(|why| why.to_string()),
        Err(_) => Err(format!("the engine has not answered for {} s; it is asked again", limit.as_secs())),
    }
}

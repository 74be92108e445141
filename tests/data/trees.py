"""Small trees in the layout that each collection publishes, to read with its adapter."""

from __future__ import annotations

import json

import pydicom
from PIL import Image
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from hilum.data.cohorts import read_cohort

NIH_HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
)


def film(path, size=(16, 12)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, 90).save(path)
    return path


def text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def dicom(path, patient):
    header = pydicom.Dataset()
    header.PatientID, header.PatientSex = patient, "F"
    with pydicom.config.disable_value_validation():
        header.PatientAge = "51"  # as the challenge writes it
    header.ViewPosition, header.Rows, header.Columns = "AP", 512, 512
    header.SOPClassUID, header.SOPInstanceUID = SecondaryCaptureImageStorage, generate_uid()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    with pydicom.config.disable_value_validation():
        header.save_as(path, enforce_file_format=True)


def covid_chestxray(root):
    text(
        root / "metadata.csv",
        "patientid,offset,sex,age,finding,view,modality,date,folder,filename,url,license",
        "2,0,M,65,COVID-19,PA,X-ray,2020,images,a.jpg,https://www.eurorad.org/case/1,CC BY",
        "3,,F,,Klebsiella,L,X-ray,2015,images,b.png,,",
        "3,,F,,todo,,X-ray,,images,gone.png,,",
    )
    film(root / "images" / "a.jpg")
    film(root / "images" / "b.png")


def hannover(root):
    text(
        root / "data.csv",
        "patient_id,image_id,sex,age,admission_offset,modality,projection",
        "p1,i1,m,,-3,CR,ap",
        "p1,i2,m,,0,DX,pa",
    )
    film(root / "png" / "i1.png")
    film(root / "png" / "i2.png")


def covid_cxnet(root):
    text(
        root / "metadata.csv",
        "filename,patient_id,sex,age,view,label,pcr_test,admission_offset,symptom_offset,url",
        "1.png,10,female,68,AP,COVID-19,positive,,7,https://twitter.com/x",
        "2.jpg,11,male,0.5,,COVID-19,negative,1,,",
    )
    for name in ("1.PNG", "2.jpeg", "3-.jpg"):
        film(root / "chest_xray_images" / "covid19" / name)


def nih(root):
    text(
        root / "Data_Entry_2017_v2020.csv",
        NIH_HEADER,
        "00000001_000.png,Pneumonia|Effusion,0,1,411,M,AP",
        "00000002_000.png,No Finding,0,2,012Y,F,PA",
    )
    film(root / "images_001" / "images" / "00000001_000.png", (256, 512))
    film(root / "images_002" / "images" / "00000002_000.png")


def rsna(root):
    text(
        root / "stage_2_detailed_class_info.csv",
        "patientId,class",
        "r1,Lung Opacity",
        "r1,Lung Opacity",
        "r2,Normal",
    )
    text(
        root / "stage_2_train_labels.csv",
        "patientId,x,y,width,height,Target",
        "r1,100.0,200.0,50.0,60.0,1",
        "r1,400.0,200.0,50.0,60.0,1",
        "r2,,,,,0",
    )
    text(root / "rsna_nih_mapping.csv", "patientId,Image Index,mse", "r1,00000007_003.png,0.4")
    for patient in ("r1", "r2"):
        dicom(root / "stage_2_train_images" / f"{patient}.dcm", patient)


def shenzhen(root):
    film(root / "CXR_png" / "CHNCXR_0004_0.png")
    film(root / "CXR_png" / "CHNCXR_0327_1.png")
    text(root / "ClinicalReadings" / "CHNCXR_0004_0.txt", "male 45yrs", "normal")
    film(root / "masks" / "CHNCXR_0004_0_mask.png")


def montgomery(root):
    film(root / "CXR_png" / "MCUCXR_0001_0.png")
    film(root / "CXR_png" / "MCUCXR_0104_1.png")
    text(
        root / "ClinicalReadings" / "MCUCXR_0104_1.txt",
        "Patient's Sex: F",
        "Patient's Age: 027Y",
        "cavity in the right upper lobe",
    )
    film(root / "ManualMask" / "leftMask" / "MCUCXR_0001_0.png")


def openist(root):
    film(root / "Chest_x-ray" / "1-10-500-500-100.jpg")
    film(root / "Chest_x-ray" / "1-10-500-500-100@.png")
    film(root / "Chest_x-ray" / "2-11-500-500-100.jpg")


def kermany(root):
    film(root / "train" / "PNEUMONIA" / "person1_bacteria_1.jpeg")
    film(root / "test" / "PNEUMONIA" / "person1_virus_6.jpeg")
    film(root / "train" / "NORMAL" / "IM-0467-0001-0001.jpeg")
    film(root / "train" / "NORMAL" / "NORMAL2-IM-0467-0001.jpeg")


def covidx(root):
    text(
        root / "train_COVIDx7B.txt",
        "A1 x.png negative actmed",
        "COVID 1 COVID(1).png positive sirm",
    )
    text(root / "test_COVIDx7B.txt", "A1 y.png positive actmed")
    film(root / "train" / "x.png")


def bimcv(root):
    text(
        root / "participants.tsv",
        "participant\tmodality_dicom\tbody_parts\tage\tgender",
        "sub-S1\t['CR']\t[['chest']]\t['64']\tM",
        "sub-S2\t['DX']\t[['chest']]\t['71']\tF",
    )
    for person, session in (("sub-S1", "ses-E1"), ("sub-S2", "ses-E2")):
        text(
            root / person / f"{person}_sessions.tsv",
            "session_id\tstudy_date\tmedical_evaluation",
            f"{session}\t20200320\ttext",
        )
        name = f"{person}_{session}_run-1_bp-chest_vp-ap_cr.png"
        film(root / person / session / "mod-rx" / name)
    text(
        root / "derivatives" / "labels" / "labels_covid_posi.tsv",
        "PatientID\tReportID\tReport\tLabels",
        "sub-S1\tses-E1\ttext\t['COVID 19', 'pneumonia ']",
        "sub-S2\tses-E2\ttext\t['normal']",
    )
    text(
        root / "derivatives" / "EHR" / "sil_reg_covid_posi.tsv",
        "participant\tdate\ttest\tresult",
        "sub-S1\t25.03.2020\tPCR\tPOSITIVO",
        "sub-S2\t18.03.2020\tPCR\tNEGATIVO",
        "sub-S2\t19.03.2020\tIGG\tPOSITIVO",
    )


def siim(root):
    text(
        root / "train_image_level.csv",
        "id,boxes,label,StudyInstanceUID",
        "i1_image,\"[{'x': 100.5, 'y': 200.0, 'width': 50.0, 'height': 60.0}]\","
        "opacity 1 100.5 200 150.5 260,s1",
        "i2_image,,none 1 0 0 1 1,s1",
        "i3_image,,none 1 0 0 1 1,s2",
    )
    text(
        root / "train_study_level.csv",
        "id,Negative for Pneumonia,Typical Appearance,Indeterminate Appearance,Atypical Appearance",
        "s1_study,0,1,0,0",
        "s2_study,1,0,0,0",
    )
    for study, image in (("s1", "i1"), ("s1", "i2"), ("s2", "i3")):
        dicom(root / "train" / study / "series" / f"{image}.dcm", f"p-{study}")


def tbx11k(root):
    base = root / "TBX11K"
    for place in ("tb/tb0001", "tb/tb0002", "tb/tb1199", "health/h1", "sick/s1", "test/t1"):
        film(base / "imgs" / f"{place}.png")
    kinds = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis")
    coco = {
        "images": [
            {"id": n, "file_name": f"tb/tb000{n}.png", "width": 512, "height": 512} for n in (1, 2)
        ],
        "categories": [{"id": n, "name": name} for n, name in enumerate(kinds, start=1)],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "bbox": [256, 128, 64, 32]},
            {"id": 2, "image_id": 2, "category_id": 1, "bbox": [0, 0, 64, 32]},
            {"id": 3, "image_id": 2, "category_id": 2, "bbox": [64, 64, 64, 32]},
        ],
    }
    text(base / "annotations" / "json" / "TBX11K_train.json", json.dumps(coco))


def jsrt(root):
    for stem in ("JPCLN001", "JPCNN001"):
        film(root / "images" / f"{stem}.png")
        film(root / "masks" / f"{stem}_lung.png")
    text(root / "CLNDAT_EN.txt", "JPCLN001.IMG\t5\t15\t53\tMale\t1634\t692\tmalignant\tl.upper\tca")
    text(root / "CNNDAT_EN.TXT", "JPCNN001.IMG\t14\tFemale\tnon-nodule")
    (root / "JPCLN002.IMG").write_bytes(bytes(8))


def own_csv(root):
    text(root / "mine.csv", "path,patient_id,covid-19", "a.png,1,yes", "b.png,2,")
    film(root / "a.png")
    film(root / "b.png")


def own_folders(root):
    film(root / "COVID" / "a.png")
    film(root / "normal" / "b.png")


TREES = {
    "covid-chestxray-dataset": covid_chestxray,
    "covid-19-image-repository": hannover,
    "covid-cxnet": covid_cxnet,
    "nih-chestxray14": nih,
    "rsna-pneumonia": rsna,
    "shenzhen": shenzhen,
    "montgomery": montgomery,
    "openist": openist,
    "kermany": kermany,
    "covidx": covidx,
    "bimcv-covid19": bimcv,
    "siim-covid19": siim,
    "tbx11k": tbx11k,
    "jsrt": jsrt,
    "csv": own_csv,
    "folders": own_folders,
}


def made(name, tmp_path):
    root = tmp_path / "collection"
    root.mkdir()
    TREES[name](root)
    return root


def read(name, tmp_path, /, **options):
    return read_cohort(name, made(name, tmp_path), **options)


def row(cohort, ending):
    rows = cohort.cases[cohort.cases["case_id"].str.endswith(ending)]
    assert len(rows) == 1
    return rows.iloc[0]
